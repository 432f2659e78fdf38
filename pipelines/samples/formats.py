"""A request as each tool logs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from pipelines.samples.world import Request

_ZONE: Final = timezone(timedelta(hours=2))


def litellm(r: Request) -> dict[str, Any]:
    """LiteLLM's StandardLoggingPayload."""
    return {
        "id": r.request_id,
        "call_type": "acompletion",
        "model": r.candidate,
        "model_group": "auto",
        "status": "success",
        "startTime": r.time.timestamp(),
        "endTime": r.end.timestamp(),
        "response_time": r.latency_s,
        "prompt_tokens": r.input_tokens,
        "completion_tokens": r.output_tokens,
        "total_tokens": r.input_tokens + r.output_tokens,
        "response_cost": r.cost_usd,
        "cache_hit": False,
        "end_user": r.user,
        "messages": _asked(r),
        "response": {"choices": [{"message": _said(r)}]},
        "model_parameters": {"tools": list(r.tools)} if r.tools else {},
        "metadata": {
            "router": {
                "policy": "rules-v1",
                "propensity": r.propensities[r.candidate],
                "candidates": list(r.propensities),
            }
        },
    }


def openai(r: Request) -> dict[str, Any]:
    """A chat completion with its request beside it."""
    return {
        "id": r.request_id,
        "object": "chat.completion",
        "created": int(r.time.timestamp()),
        "model": r.candidate,
        "request": {
            "messages": _asked(r),
            "user": r.user,
            **({"tools": list(r.tools)} if r.tools else {}),
        },
        "choices": [{"index": 0, "message": _said(r), "finish_reason": "stop"}],
        "usage": {"prompt_tokens": r.input_tokens, "completion_tokens": r.output_tokens},
        "latency_ms": round(1e3 * r.latency_s),
    }


def anthropic(r: Request) -> dict[str, Any]:
    """A message with its request beside it."""
    tools = [
        {"name": t["function"]["name"], "description": t["function"]["description"],
         "input_schema": t["function"]["parameters"]}
        for t in r.tools
    ]  # fmt: skip
    return {
        "id": r.request_id,
        "type": "message",
        "created_at": _iso(r.time),
        "model": r.candidate,
        "role": "assistant",
        "request": {"messages": _asked(r), **({"tools": tools} if tools else {})},
        "content": [{"type": "text", "text": r.answer}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": r.input_tokens,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "output_tokens": r.output_tokens,
        },
        "latency_ms": round(1e3 * r.latency_s),
    }


def opentelemetry(r: Request) -> dict[str, Any]:
    """A span by OpenTelemetry's conventions for generative AI."""
    part = {"type": "text", "content": r.text}
    reply = {"type": "text", "content": r.answer}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": r.candidate,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [part]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [reply]}]),
        "gen_ai.usage.input_tokens": r.input_tokens,
        "gen_ai.usage.output_tokens": r.output_tokens,
        "user.id": r.user,
    }
    if r.tools:
        attributes["gen_ai.tool.definitions"] = json.dumps(list(r.tools))
    return _span(r, attributes)


def openinference(r: Request) -> dict[str, Any]:
    """A span by OpenInference's conventions, as Phoenix keeps it."""
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": r.candidate,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": r.text,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": r.answer,
        "llm.token_count.prompt": r.input_tokens,
        "llm.token_count.completion": r.output_tokens,
        "user.id": r.user,
    }
    for i, tool in enumerate(r.tools):
        attributes[f"llm.tools.{i}.tool.json_schema"] = json.dumps(tool)
    return _span(r, attributes)


def mlflow(r: Request) -> dict[str, Any]:
    """A trace as ``mlflow.search_traces`` gives it, with its assessment."""
    asked = {"model": r.candidate, "messages": _asked(r)}
    attributes = {
        "mlflow.spanType": json.dumps("CHAT_MODEL"),
        "mlflow.spanInputs": json.dumps({**asked, **({"tools": list(r.tools)} if r.tools else {})}),
        "mlflow.spanOutputs": json.dumps({"choices": [{"message": _said(r)}]}),
        "mlflow.chat.tokenUsage": json.dumps(
            {"input_tokens": r.input_tokens, "output_tokens": r.output_tokens}
        ),
        "mlflow.llm.model": json.dumps(r.candidate),
    }
    trace = {
        "trace_id": r.request_id,
        "state": "OK",
        "request_time": round(1e3 * r.time.timestamp()),
        "execution_duration": round(1e3 * r.latency_s),
        "trace_metadata": {"mlflow.trace.user": r.user},
        "spans": [_span(r, attributes)],
        "assessments": [],
    }
    if r.label is not None:
        trace["assessments"] = [{
            "trace_id": r.request_id,
            "assessment_name": "correct",
            "source": {"source_type": "CODE", "source_id": "checker"},
            "create_time": _iso(r.label_time),
            "feedback": {"value": bool(r.label)},
            "valid": True,
        }]  # fmt: skip
    return trace


def langfuse(r: Request) -> dict[str, Any]:
    """An observation of Langfuse."""
    return {
        "id": r.request_id,
        "trace_id": f"trace-{r.number:04d}",
        "type": "GENERATION",
        "start_time": _iso(r.time),
        "end_time": _iso(r.end),
        "provided_model_name": r.candidate,
        "user_id": r.user,
        "input": {"messages": _asked(r), **({"tools": list(r.tools)} if r.tools else {})},
        "output": _said(r),
        "usage_details": {"input": r.input_tokens, "output": r.output_tokens},
        "total_cost": r.cost_usd,
        "level": "DEFAULT",
    }


def tensorzero(r: Request) -> dict[str, Any]:
    """An inference of TensorZero."""
    return {
        "inference_id": r.request_id,
        "episode_id": f"episode-{r.number:04d}",
        "function_name": "chat",
        "variant_name": r.candidate,
        "model_name": r.candidate,
        "timestamp": _iso(r.time),
        "input_messages": _asked(r),
        "output": r.answer,
        "input_tokens": r.input_tokens,
        "output_tokens": r.output_tokens,
        "response_time_ms": round(1e3 * r.latency_s),
        "cached": False,
        "finish_reason": "stop",
        **({"dynamic_tools": list(r.tools)} if r.tools else {}),
    }


def decision(r: Request) -> dict[str, Any]:
    """A decision of the scoring service's own log."""
    return {
        "kind": "decision",
        "decision_id": f"decision-{r.number:04d}",
        "request_id": r.request_id,
        "time": r.time.replace(tzinfo=None).isoformat(timespec="microseconds"),
        "candidate": r.candidate,
        "propensity": r.propensities[r.candidate],
        "candidates": list(r.propensities),
        "action_probs": list(r.propensities.values()),
        "policy": "budget",
        "router_version": "1",
        "query": r.text,
        "tools": list(r.tools),
    }


def outcome(r: Request) -> dict[str, Any]:
    """What the application reported of a decision."""
    return {
        "kind": "feedback",
        "decision_id": f"decision-{r.number:04d}",
        "time": r.label_time.replace(tzinfo=None).isoformat(timespec="microseconds"),
        "candidate_served": r.candidate,
        "input_tokens": r.input_tokens,
        "output_tokens": r.output_tokens,
        "latency_ms": round(1e3 * r.latency_s),
        "status": "success",
        "answer": r.answer,
        **({} if r.label is None else {"name": "correct", "source": "checker", "quality": r.label}),
    }


def export_row(r: Request) -> dict[str, Any]:
    """A row of a company's own export: names, zone and units of its own, no propensities."""
    return {
        "ts": r.time.astimezone(_ZONE).isoformat(timespec="milliseconds"),
        "id": r.request_id,
        "user_prompt": r.text,
        "model_name": r.candidate,
        "usage_in": r.input_tokens,
        "usage_out": r.output_tokens,
        "usd": f"{r.cost_usd:.8f}",
        "seconds": r.latency_s,
    }


JSON_LINES: Final[Mapping[str, Callable[[Request], dict[str, Any]]]] = {
    "litellm.jsonl.gz": litellm,
    "openai.jsonl.gz": openai,
    "anthropic.jsonl.gz": anthropic,
    "opentelemetry.jsonl.gz": opentelemetry,
    "openinference.jsonl.gz": openinference,
    "mlflow.jsonl.gz": mlflow,
    "langfuse.jsonl.gz": langfuse,
    "tensorzero.jsonl.gz": tensorzero,
}
"""Request logs by their file."""


def _asked(r: Request) -> list[dict[str, str]]:
    return [{"role": "user", "content": r.text}]


def _said(r: Request) -> dict[str, str]:
    return {"role": "assistant", "content": r.answer}


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _span(r: Request, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "chat",
        "context": {"trace_id": f"trace-{r.number:04d}", "span_id": r.request_id},
        "start_time": _iso(r.time),
        "end_time": _iso(r.end),
        "status": {"status_code": "UNSET"},
        "attributes": dict(attributes),
    }
