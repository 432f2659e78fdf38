"""Shapes of request logs, told by what their records hold, and where each keeps things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, overload

from pipelines.join.sources.records import Record
from pipelines.join.sources.requests import LITELLM, Fields
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
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    fields: Fields = field(default_factory=dict)

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


def _under(*paths: str) -> tuple[str, ...]:
    """Paths in a completion, or in one that is kept under ``response`` beside its request."""
    return (*paths, *(f"response.{path}" for path in paths))


_REQUEST: Final = ("request", "body", "input", "kwargs", "request_body")


def _asked(*names: str) -> tuple[str, ...]:
    """Paths of what was sent: beside the answer, or under any of the usual names."""
    return (*names, *(f"{place}.{name}" for name in names for place in _REQUEST))


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
    "cost_usd": ("cost_usd", "cost"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "latency_s": ("latency_s", "response_time", "duration_s"),
    "propensity": ("metadata.router.propensity", "propensity"),
    "error_class": ("error.type", "error.code"),
    "error_text": ("error.message",),
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
    "cost_usd": ("cost_usd", "cost"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "latency_s": ("latency_s", "response_time", "duration_s"),
    "propensity": ("metadata.router.propensity", "propensity"),
    "error_class": ("error.type", "error.code"),
    "error_text": ("error.message",),
}

LITELLM_LOG: Final = Shape("LiteLLM", _is_litellm, LITELLM)
SHAPES: Final = (
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
