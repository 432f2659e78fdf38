"""Write ``tests/golden/traces/litellm.jsonl``: what LiteLLM's own logging callback is handed.

Run with ``litellm`` 1.110.2 in an environment of its own (its pins are not ours); no provider is
called, answers are LiteLLM's mocks. Texts are our own.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "traces" / "litellm.jsonl"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
KEPT = (
    "id", "trace_id", "litellm_call_id", "call_type", "stream", "response_cost", "status",
    "custom_llm_provider", "total_tokens", "prompt_tokens", "completion_tokens", "startTime",
    "endTime", "completionStartTime", "response_time", "model", "model_id", "model_group",
    "metadata", "cache_hit", "request_tags", "end_user", "messages", "response", "error_str",
    "error_information", "model_parameters",
)  # fmt: skip
"""Fields of the payload that are written; the others name the machine or are long."""


def main() -> None:
    """A chat, a call of a tool, a stream, a failure of the candidate's and one of the caller's."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the net
    litellm: Any = importlib.import_module("litellm")
    logger: Any = importlib.import_module("litellm.integrations.custom_logger")
    payloads: list[dict[str, Any]] = []
    failed: list[str] = []

    class Keeper(logger.CustomLogger):  # type: ignore[misc]
        def log_success_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            payloads.append(kwargs["standard_logging_object"])

        def log_failure_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            payloads.append(kwargs["standard_logging_object"])

    litellm.callbacks = [Keeper()]
    executor = importlib.import_module("litellm.litellm_core_utils.thread_pool_executor").executor

    def ask(text: str, **options: Any) -> None:
        said = [{"role": "system", "content": "Be short."}, {"role": "user", "content": text}]
        try:
            answer = litellm.completion(
                model="gpt-4o-mini", messages=said, user="ada", api_key="none",
                num_retries=0, **options,
            )  # fmt: skip
            if options.get("stream"):
                for _ in answer:
                    pass
        except Exception as error:
            failed.append(type(error).__name__)

    ask("Which planet is nearest to the sun?", mock_response="Mercury.")
    ask("What is the weather in Oslo?", tools=[TOOL], mock_response="",
        mock_tool_calls=[CALL])  # fmt: skip
    ask("Name a prime.", mock_response="Seven is one.", stream=True,
        stream_options={"include_usage": True})  # fmt: skip
    ask("Why is the sky blue?", mock_response=litellm.InternalServerError(
        message="overloaded", llm_provider="openai", model="gpt-4o-mini"))  # fmt: skip
    ask("Who am I?", mock_response=litellm.AuthenticationError(
        message="wrong key", llm_provider="openai", model="gpt-4o-mini"))  # fmt: skip
    executor.shutdown(wait=True)
    payloads.sort(key=lambda one: one["startTime"])
    lines = []
    for one in payloads:
        row = {key: one.get(key) for key in KEPT}
        row["metadata"] = {k: v for k, v in (one.get("metadata") or {}).items() if v is not None
                           and k in ("usage_object", "user_api_key_end_user_id")}  # fmt: skip
        (row.get("error_information") or {}).pop("traceback", None)
        lines.append(json.dumps(row, default=str))
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
