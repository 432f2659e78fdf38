"""Spans of traces as request records: OpenTelemetry GenAI, OpenInference (Phoenix), MLflow.

A span keeps what was asked in attributes with dotted names, flat or nested, as values or as
OTLP's typed ones. They become one flat record a span: its attributes by name, beside the span's own
``span.id``, ``span.start``, ``span.end`` and ``span.status``, and messages in OpenAI's form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipelines.join.sources.values import open_json

_INDEXED: Final = re.compile(
    r"llm\.(input_messages|output_messages|tools)\.(\d+)\.(?:message|tool)\.(.+)"
)
_MESSAGE_LISTS: Final = ("gen_ai.input.messages", "gen_ai.output.messages")
_CHAT_OPERATIONS: Final = ("chat", "text_completion", "generate_content")


def spans_of(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Flat records of the spans in a record: itself, OTLP resource spans, or those of a trace."""
    if isinstance(record.get("resourceSpans"), list):
        for resource in record["resourceSpans"]:
            for scope in _lists(resource, "scopeSpans", "instrumentationLibrarySpans"):
                yield from (flat_span(span) for span in _lists(scope, "spans"))
        return
    spans = record.get("spans")
    if not isinstance(spans, list):
        spans = (
            record.get("data", {}).get("spans") if isinstance(record.get("data"), Mapping) else None
        )
    if isinstance(spans, list) and spans:
        yield from (flat_span(span, trace=record) for span in spans if isinstance(span, Mapping))
        return
    yield flat_span(record)


def _lists(value: Any, *keys: str) -> list[Any]:
    found = [value.get(key) for key in keys] if isinstance(value, Mapping) else []
    return next((item for item in found if isinstance(item, list)), [])


def flat_span(span: Mapping[str, Any], trace: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One span with its attributes by dotted name."""
    flat = attributes_of(span)
    context = span.get("context")
    inside = context if isinstance(context, Mapping) else {}
    flat["span.id"] = _first(span, "span_id", "spanId", "context.span_id", "id") or _first(
        inside, "span_id"
    )
    flat["trace.id"] = _first(span, "trace_id", "traceId", "context.trace_id") or _first(
        inside, "trace_id"
    )
    flat["span.start"] = _seconds(
        span, "start_time_unix_nano", "startTimeUnixNano", "start_time", "startTime"
    )
    flat["span.end"] = _seconds(
        span, "end_time_unix_nano", "endTimeUnixNano", "end_time", "endTime"
    )
    flat["span.status"] = _status(span)
    flat["span.kind"] = flat.get("openinference.span.kind") or span.get("span_kind")
    flat["messages"] = _messages(flat, "input")
    flat["answer"] = _answer(flat)
    flat["tools"] = _tools(flat)
    flat["call_type"] = _call_type(flat)
    if trace is not None and (whole := _first(trace, "trace_id")) is not None:
        flat["trace.id"] = whole  # labels name the trace as MLflow does, a span's own id differs
    return flat


def attributes_of(span: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes by dotted name, whatever way they are kept."""
    found: dict[str, Any] = {}
    for key, value in span.items():
        if key.startswith("attributes."):
            _spread(found, key.removeprefix("attributes."), value)
    given = open_json(span.get("attributes"))
    if isinstance(given, Mapping):
        for key, value in given.items():
            _spread(found, key, _mlflow_value(key, value))
    elif isinstance(given, list):  # OTLP: [{"key": ..., "value": {"stringValue": ...}}]
        for item in given:
            if isinstance(item, Mapping) and isinstance(item.get("key"), str):
                found[item["key"]] = _typed(item.get("value"))
    return found


def _mlflow_value(key: str, value: Any) -> Any:
    """MLflow keeps every attribute as JSON text."""
    if not key.startswith("mlflow.") or not isinstance(value, str):
        return value
    if value.startswith('"'):
        return value.strip('"')
    small = key in ("mlflow.chat.tokenUsage", "mlflow.llm.cost")
    return open_json(value) if small else value


def _spread(found: dict[str, Any], key: str, value: Any) -> None:
    """Nested objects become dotted names; lists of messages keep their positions in the name."""
    if isinstance(value, Mapping) and value:
        for inner, item in value.items():
            _spread(found, f"{key}.{inner}", item)
    elif isinstance(value, Sequence) and not isinstance(value, str) and key.startswith("llm."):
        for i, item in enumerate(value):
            _spread(found, f"{key}.{i}", item)
        found.setdefault(key, value)
    else:
        found[key] = value


def _typed(value: Any) -> Any:
    """A value of OTLP's JSON, whose type is the name of its key."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [_typed(item) for item in _lists(inner, "values")]
    return inner


def _first(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def _seconds(span: Mapping[str, Any], *names: str) -> Any:
    """Seconds since 1970 of a time in nanoseconds; other times as they are."""
    value = _first(span, *names)
    text = str(value)
    return int(text) / 1e9 if text.isdigit() and len(text) >= 18 else value


def _status(span: Mapping[str, Any]) -> str | None:
    """``error`` or ``ok``; a span without either succeeded."""
    status = span.get("status")
    code = _first(status, "code", "status_code") if isinstance(status, Mapping) else status
    word = str(code if code is not None else span.get("status_code", "")).upper()
    return "error" if "ERROR" in word or word == "2" else "ok"


def _call_type(flat: Mapping[str, Any]) -> str:
    """``completion`` for a call of a model, else what it is, which is no chat."""
    kind = str(flat.get("span.kind") or flat.get("mlflow.spanType") or "").strip('"').upper()
    if kind:
        return "completion" if kind in ("LLM", "CHAT_MODEL") else kind.lower()
    operation = flat.get("gen_ai.operation.name")
    if operation is None:
        asked = "gen_ai.request.model" in flat or "gen_ai.prompt" in flat
        return "completion" if asked else "span"
    return "completion" if operation in _CHAT_OPERATIONS else str(operation)


def _messages(flat: Mapping[str, Any], side: str) -> list[Any] | str | None:
    """Messages of one side, in OpenAI's form."""
    given = open_json(flat.get(f"gen_ai.{side}.messages"))
    if isinstance(given, list):
        return [_plain(message) for message in given if isinstance(message, Mapping)]
    indexed = _indexed(flat, f"{side}_messages")
    if indexed:
        return indexed
    old = _numbered(flat, "gen_ai.prompt" if side == "input" else "gen_ai.completion")
    if old:
        return old
    inputs = open_json(flat.get("mlflow.spanInputs" if side == "input" else "mlflow.spanOutputs"))
    if isinstance(inputs, Mapping) and isinstance(inputs.get("messages"), list):
        messages: list[Any] = inputs["messages"]
        return messages
    value = open_json(flat.get(f"{side}.value", flat.get("gen_ai.prompt")))
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        listed: list[Any] = value["messages"]
        return listed
    return value if isinstance(value, str | list) else None


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of parts as one with content and tool calls."""
    parts = message.get("parts")
    if not isinstance(parts, list):
        return dict(message)
    texts = [p.get("content") for p in parts if isinstance(p, Mapping) and p.get("type") == "text"]
    calls = [
        {"type": "function", "function": {"name": p.get("name"), "arguments": p.get("arguments")}}
        for p in parts
        if isinstance(p, Mapping) and p.get("type") == "tool_call"
    ]
    plain = {"role": message.get("role"), "content": "\n".join(t for t in texts if t) or None}
    return plain | ({"tool_calls": calls} if calls else {})


def _indexed(flat: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """OpenInference's ``llm.input_messages.<i>.message.role`` as messages."""
    found: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[str, str]] = {}
    calls: dict[int, dict[str, dict[str, Any]]] = {}
    for key, value in flat.items():
        match = _INDEXED.fullmatch(key)
        if match is None or match[1] != name:
            continue
        place, rest = int(match[2]), match[3]
        message = found.setdefault(place, {})
        if text := re.fullmatch(r"contents\.(\d+)\.message_content\.text", rest):
            parts.setdefault(place, {})[text[1]] = str(value)
        elif call := re.fullmatch(r"tool_calls\.(\d+)\.tool_call\.function\.(\w+)", rest):
            calls.setdefault(place, {}).setdefault(call[1], {})[call[2]] = value
        elif rest in ("role", "content", "name", "tool_call_id"):
            message[rest] = value
    for place, texts in parts.items():
        found[place].setdefault("content", "\n".join(texts[i] for i in sorted(texts, key=int)))
    for place, made in calls.items():
        found[place]["tool_calls"] = [
            {"type": "function", "function": made[i]} for i in sorted(made, key=int)
        ]
    return [found[place] for place in sorted(found)]


def _numbered(flat: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """The older ``gen_ai.prompt.<i>.role`` and ``.content`` as messages."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in flat.items():
        match = re.fullmatch(rf"{re.escape(prefix)}\.(\d+)\.(role|content)", key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [found[place] for place in sorted(found)]


def _answer(flat: Mapping[str, Any]) -> Any:
    """The last message of the output, or what else is given as output."""
    messages = _messages(flat, "output")
    if isinstance(messages, list) and messages and isinstance(messages[-1], Mapping):
        return messages[-1]
    outputs = open_json(flat.get("mlflow.spanOutputs"))
    if isinstance(outputs, Mapping):
        choices = outputs.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            return choices[0].get("message")
    return messages if messages is not None else flat.get("output.value")


def _tools(flat: Mapping[str, Any]) -> Any:
    """Tools on offer, in any of their places."""
    for name in ("gen_ai.tool.definitions", "mlflow.chat.tools"):
        if isinstance(tools := open_json(flat.get(name)), list):
            return tools
    found = {
        int(match[2]): open_json(value)
        for key, value in flat.items()
        if (match := _INDEXED.fullmatch(key)) and match[1] == "tools" and match[3] == "json_schema"
    }
    if found:
        return [found[place] for place in sorted(found)]
    inputs = open_json(flat.get("mlflow.spanInputs"))
    parameters = open_json(flat.get("llm.invocation_parameters"))
    for place in (inputs, parameters):
        if isinstance(place, Mapping) and isinstance(place.get("tools"), list):
            return place["tools"]
    return None
