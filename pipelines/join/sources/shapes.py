"""Shapes of request logs, told by what their records hold, and where each keeps things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, overload

from pipelines.join.sources.fields import LITELLM, Fields
from pipelines.join.sources.records import Record
from pipelines.join.sources.spans import attributes_of, spans_of
from pipelines.join.sources.values import find

_LOOKED_AT: Final = 50


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a request log.

    Parameters
    ----------
    name : as reports have it
    matches : whether a record is of this shape
    fields : column -> paths, where they differ from LiteLLM's names
    unfold : the requests that a record holds, for shapes whose records are no requests
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    fields: Fields = field(default_factory=dict)
    unfold: Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]] | None = None

    def requests(self, records: Iterable[Record]) -> Iterator[Record]:
        """Records of requests, one each."""
        for record in records:
            if self.unfold is None or record.values is None:
                yield record
            else:
                yield from (
                    Record(record.line, record.raw, values) for values in self.unfold(record.values)
                )

    @property
    def all_fields(self) -> Fields:
        """Paths of every column; what the shape does not name, it does not have."""
        return {**dict.fromkeys(LITELLM, ()), **self.fields}


def _is_litellm(record: Mapping[str, Any]) -> bool:
    return "startTime" in record or "call_type" in record


def _is_openai(record: Mapping[str, Any]) -> bool:
    body = record.get("response") if isinstance(record.get("response"), Mapping) else record
    return isinstance(body, Mapping) and (
        str(body.get("object", "")) in ("chat.completion", "text_completion", "response")
        or ("choices" in body and "usage" in body)
    )


def _is_anthropic(record: Mapping[str, Any]) -> bool:
    body = record.get("response") if isinstance(record.get("response"), Mapping) else record
    return isinstance(body, Mapping) and (
        body.get("type") == "message"
        or find(body, ["usage.cache_read_input_tokens", "usage.cache_creation_input_tokens"])
        is not None
    )


def _is_mlflow(record: Mapping[str, Any]) -> bool:
    return "trace_id" in record and ("trace_metadata" in record or "spans" in record)


def _is_span(record: Mapping[str, Any]) -> bool:
    if "resourceSpans" in record:
        return True
    attributes = attributes_of(record)
    return any(key.startswith(("gen_ai.", "llm.", "openinference.")) for key in attributes)


def _is_langfuse(record: Mapping[str, Any]) -> bool:
    named = "provided_model_name" in record or "providedModelName" in record
    return named and ("trace_id" in record or "traceId" in record)


def _is_tensorzero(record: Mapping[str, Any]) -> bool:
    return {"function_name", "variant_name"} <= set(record) or {
        "inference_id",
        "model_provider_name",
    } <= set(record)


def _langfuse_request(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Only generations are calls of a model."""
    kind = str(record.get("type") or "GENERATION").upper()
    call_type = "completion" if kind == "GENERATION" else kind.lower()
    yield {**{key: value for key, value in record.items() if value != ""}, "call_type": call_type}


def _under(*paths: str) -> tuple[str, ...]:
    """Paths in a completion, or in one that is kept under ``response`` beside its request."""
    return (*paths, *(f"response.{path}" for path in paths))


_REQUEST: Final = ("request", "body", "input", "kwargs", "request_body")


def _asked(*names: str) -> tuple[str, ...]:
    """Paths of what was sent: beside the answer, or under any of the usual names."""
    return (*names, *(f"{place}.{name}" for name in names for place in _REQUEST))


_BESIDE: Final[Fields] = {
    "cost_usd": ("cost_usd", "cost"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "latency_s": ("latency_s", "response_time", "duration_s"),
    "propensity": ("metadata.router.propensity", "propensity"),
    "error_class": ("error.type", "error.code"),
    "error_text": ("error.message",),
}
"""What a logger writes beside request and response."""
_OPENAI: Final[Fields] = {
    "request_id": ("request_id", *_under("id")),
    "session_id": ("session_id", "conversation_id", "metadata.session_id"),
    "user_id": _asked("user", "end_user"),
    "tenant": ("metadata.tenant", "organization"),
    "time": (*_under("created", "created_at"), "timestamp", "time"),
    "candidate_served": _under("model"),
    "messages": (*_asked("messages", "input", "prompt"), "request.input", "input"),
    "tools": _asked("tools", "functions"),
    "answer": _under(
        "choices.0.message.content",
        "choices.0.text",
        "output_text",
        "output",
    ),
    "tool_calls": _under("choices.0.message.tool_calls"),
    "function_call": _under("choices.0.message.function_call"),
    "input_tokens": _under("usage.prompt_tokens", "usage.input_tokens"),
    "output_tokens": _under("usage.completion_tokens", "usage.output_tokens"),
    "cached_input_tokens": _under(
        "usage.prompt_tokens_details.cached_tokens", "usage.input_tokens_details.cached_tokens"
    ),
    "cache_write_tokens": _under("usage.prompt_tokens_details.cache_write_tokens"),
    "audio_input_tokens": _under("usage.prompt_tokens_details.audio_tokens"),
    "audio_output_tokens": _under("usage.completion_tokens_details.audio_tokens"),
    "service_tier": _under("service_tier"),
    "finish_reason": _under("choices.0.finish_reason"),
    **_BESIDE,
}
_ANTHROPIC: Final[Fields] = {
    "request_id": ("request_id", *_under("id")),
    "session_id": ("session_id", "conversation_id", "metadata.session_id"),
    "user_id": _asked("metadata.user_id"),
    "time": (*_under("created_at", "created"), "timestamp", "time"),
    "candidate_served": _under("model"),
    "messages": _asked("messages"),
    "tools": _asked("tools"),
    "answer": _under("content"),
    "uncached_input_tokens": _under("usage.input_tokens"),
    "output_tokens": _under("usage.output_tokens"),
    "cached_input_tokens": _under("usage.cache_read_input_tokens"),
    "cache_write_tokens": _under("usage.cache_creation_input_tokens"),
    "service_tier": _under("usage.service_tier"),
    "finish_reason": _under("stop_reason"),
    **_BESIDE,
}

_SPAN: Final[Fields] = {
    "request_id": ("span.id",),
    "session_id": ("session.id", "gen_ai.conversation.id"),
    "user_id": ("user.id", "enduser.id"),
    "time": ("span.start",),
    "end_time": ("span.end",),
    "candidate_served": (
        "gen_ai.response.model",
        "gen_ai.request.model",
        "llm.response.model_name",
        "llm.model_name",
        "llm.request.model_name",
        "mlflow.llm.model",
    ),
    "messages": ("messages",),
    "tools": ("tools",),
    "answer": ("answer",),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "mlflow.chat.tokenUsage.input_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "mlflow.chat.tokenUsage.output_tokens",
    ),
    "cached_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "mlflow.chat.tokenUsage.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "mlflow.chat.tokenUsage.cache_creation_input_tokens",
    ),
    "cost_usd": ("llm.cost.total", "mlflow.llm.cost.total_cost", "gen_ai.usage.cost"),
    "status": ("span.status",),
    "error_class": ("error.type", "exception.type"),
    "error_text": ("exception.message",),
    "finish_reason": ("gen_ai.response.finish_reasons.0", "llm.finish_reason"),
    "call_type": ("call_type",),
}
_MLFLOW: Final[Fields] = {**_SPAN, "request_id": ("trace.id", "span.id")}
_LANGFUSE: Final[Fields] = {
    "request_id": ("id",),
    "session_id": ("session_id", "sessionId"),
    "user_id": ("user_id", "userId"),
    "time": ("start_time", "startTime"),
    "end_time": ("end_time", "endTime"),
    "candidate_served": ("provided_model_name", "providedModelName", "model"),
    "messages": ("input.messages", "input.input", "input"),
    "tools": ("tool_definitions", "input.tools"),
    "answer": ("output.choices.0.message", "output"),
    "input_tokens": ("usage_details.input", "usage_details.prompt_tokens", "usageDetails.input"),
    "output_tokens": (
        "usage_details.output",
        "usage_details.completion_tokens",
        "usageDetails.output",
    ),
    "cached_input_tokens": (
        "usage_details.input_cached_tokens",
        "usage_details.cache_read_input_tokens",
    ),
    "cache_write_tokens": ("usage_details.cache_creation_input_tokens",),
    "cost_usd": ("total_cost", "cost_details.total", "totalCost"),
    "status": ("level",),
    "error_text": ("status_message",),
    "call_type": ("call_type",),
    "propensity": ("metadata.propensity",),
}
_TENSORZERO: Final[Fields] = {
    "request_id": ("inference_id", "id"),
    "session_id": ("episode_id",),
    "time": ("timestamp", "created_at"),
    "candidate_served": ("model_name", "variant_name"),
    "messages": ("input_messages", "input.messages"),
    "tools": ("dynamic_tools", "tool_params.tools_available"),
    "answer": ("output",),
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cached_input_tokens": ("provider_cache_read_input_tokens",),
    "cache_write_tokens": ("provider_cache_write_input_tokens",),
    "cost_usd": ("cost",),
    "latency_ms": ("response_time_ms", "processing_time_ms"),
    "ttft_ms": ("ttft_ms",),
    "cache_hit": ("cached",),
    "finish_reason": ("finish_reason",),
}

LITELLM_LOG: Final = Shape("LiteLLM", _is_litellm, LITELLM)
SHAPES: Final = (
    Shape("MLflow traces", _is_mlflow, _MLFLOW, spans_of),
    Shape("OpenTelemetry or OpenInference spans", _is_span, _SPAN, spans_of),
    Shape("Langfuse observations", _is_langfuse, _LANGFUSE, _langfuse_request),
    Shape("TensorZero inferences", _is_tensorzero, _TENSORZERO),
    LITELLM_LOG,
    Shape("Anthropic messages", _is_anthropic, _ANTHROPIC),
    Shape("OpenAI completions", _is_openai, _OPENAI),
)
"""Tried in this order; LiteLLM's is what is read where none matches."""


@overload
def shape_of(records: Iterable[Record]) -> tuple[Shape, Iterator[Record]]: ...


@overload
def shape_of(
    records: Iterable[Record], fallback: Shape | None
) -> tuple[Shape | None, Iterator[Record]]: ...


def shape_of(
    records: Iterable[Record], fallback: Shape | None = LITELLM_LOG
) -> tuple[Shape | None, Iterator[Record]]:
    """The shape of a log by its first records, or ``fallback``; and all of its records."""
    stream = iter(records)
    first = list(islice(stream, _LOOKED_AT))
    known = [record.values for record in first if record.values is not None]
    votes = {shape.name: sum(map(shape.matches, known)) for shape in SHAPES}
    best = max(SHAPES, key=lambda shape: votes[shape.name])
    return (best if votes[best.name] else fallback), chain(first, stream)
