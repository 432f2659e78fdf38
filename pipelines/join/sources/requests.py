"""Records of a request log -> canonical requests, text extracted and hashed.

A record is a line of LiteLLM's StandardLoggingPayload (file, S3 and GCS callbacks), a row of its
``LiteLLM_SpendLogs`` table as JSON, or a row of canonical columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.join.sources.failures import error_class
from pipelines.join.sources.fields import Fields
from pipelines.join.sources.messages import as_messages
from pipelines.join.sources.placeholders import is_cut, is_redacted
from pipelines.join.sources.records import Record
from pipelines.join.sources.values import (
    PLAIN,
    Reading,
    UnreadableError,
    convert,
    find,
    find_count,
    find_filled,
    open_json,
    to_json,
    to_time,
)
from router_ml.data.schemas import REQUESTS
from router_ml.errors import InvalidRequestError
from router_ml.features.query import group_id, parse_query, query_id
from router_ml.features.tools import parse_tools
from router_ml.types.answers import Answer
from router_ml.types.failures import status_word

CHAT_CALLS: Final = frozenset(
    {"completion", "acompletion", "responses", "aresponses", "anthropic_messages"}
    | {"generate_content", "agenerate_content", "text_completion", "atext_completion"}
)
_SERVICE_TIERS: Final = {
    **dict.fromkeys(("batch", "batches"), "batch"),
    "flex": "flex",
    "priority": "priority",
}
_COUNTS: Final = frozenset(
    {"cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "audio_output_tokens"}
)
_CALLS: Final = ("tool_calls", "function_call")
_MESSAGE: Final = frozenset({"content", *_CALLS})
_CONVERTED: Final = tuple(
    column
    for column in REQUESTS.columns
    if column.name
    not in ("time", "query", "messages", "tools", "answer", "status", "error_class", "service_tier")
)


def request_rows(
    records: Iterable[Record], fields: Fields, file: Path, reading: Reading = PLAIN
) -> Iterator[dict[str, Any]]:
    """Canonical rows with provenance, one per record, none left out."""
    for record in records:
        row: dict[str, Any] = {"source_file": str(file), "source_line": record.line}
        if record.values is None:
            row |= {"problem": "malformed_line", "detail": record.detail, "raw": record.text}
        else:
            _fill(row, record, fields, reading)
            if "problem" in row:
                row["raw"] = record.text
        yield row


def _fill(row: dict[str, Any], record: Record, fields: Fields, reading: Reading) -> None:
    """Every column that can be read; ``problem`` names the first that cannot."""
    values = record.values or {}
    exclusion = _exclusion(values, fields)
    if exclusion:
        row["exclusion"] = exclusion
    for column in _CONVERTED:
        look = find_count if column.name in _COUNTS else find
        value = look(values, fields[column.name])
        if column.type == "string" and isinstance(value, float):
            value = find(record.as_written(), fields[column.name])
        try:
            row[column.name] = convert(value, column.type, reading)
        except UnreadableError as error:
            _blame(row, f"unreadable_{column.name}", str(error))
    try:
        row["time"], row["zoneless"] = to_time(find(values, fields["time"]), reading)
    except UnreadableError as error:
        _blame(row, "unreadable_time", str(error))
    _whole_input(row, values, fields)
    _durations(row, values, fields, reading)
    row["status"] = status_of(find(values, fields["status"]), reading)
    row["error_class"] = error_class(values, fields) if row["status"] == "failure" else None
    row["service_tier"] = _service_tier(find(values, fields["service_tier"]))
    row["answer"] = _answer(values, fields)
    _candidates(row, values, fields)
    _text(row, values, fields)


def _whole_input(row: dict[str, Any], values: Mapping[str, Any], fields: Fields) -> None:
    """Anthropic's input tokens leave out what a cache read or took; here they are all of them."""
    try:
        fresh = convert(find(values, fields["uncached_input_tokens"]), "bigint")
    except UnreadableError as error:
        _blame(row, "unreadable_input_tokens", str(error))
        return
    if fresh is not None:
        parts = (row.get("cached_input_tokens"), row.get("cache_write_tokens"))
        row["input_tokens"] = fresh + sum(part or 0 for part in parts)


def _exclusion(values: Mapping[str, Any], fields: Fields) -> str | None:
    """Calls that no user made, or that are no chat."""
    if find(values, fields["judge_call"]):
        return "judge_call"
    if find(values, fields["shadow"]) in (True, "true", "True", 1):
        return "shadow"
    call_type = find(values, fields["call_type"])
    if call_type and str(call_type) not in CHAT_CALLS:
        return "not_chat"
    return None


def _candidates(row: dict[str, Any], values: Mapping[str, Any], fields: Fields) -> None:
    """After a fallback, LiteLLM's ``model_group`` is the group that served, not the one chosen."""
    if find(values, fields["group_chosen"]) and (group := find(values, fields["group_served"])):
        row["candidate_served"] = str(group)
    fell_back = find(values, fields["fallbacks"]) not in (None, 0, "0", False)
    if fell_back:
        row.setdefault("exclusion", "fallback")
    if row.get("candidate_chosen") is None:
        asked = find(values, fields["candidate_asked"]) if fell_back else None
        row["candidate_chosen"] = str(asked) if asked else row.get("candidate_served")


def _durations(
    row: dict[str, Any], values: Mapping[str, Any], fields: Fields, reading: Reading
) -> None:
    """Latency as logged, else end minus begin; the first token's time only where one streamed."""
    begin = row.get("time")
    try:
        seconds = convert(find(values, fields["latency_s"]), "double", reading)
        if row.get("latency_ms") is None and seconds is not None:
            row["latency_ms"] = seconds * 1e3
        if row.get("latency_ms") is None:
            row["latency_ms"] = _elapsed_ms(begin, find(values, fields["end_time"]), reading)
        if row.get("ttft_ms") is None and find(values, fields["stream"]) is True:
            first = find(values, fields["first_token_time"])
            row["ttft_ms"] = _elapsed_ms(begin, first, reading)
    except UnreadableError as error:
        _blame(row, "unreadable_latency_ms", str(error))


def _elapsed_ms(begin: datetime | None, end: Any, reading: Reading) -> float | None:
    time = to_time(end, reading)[0]
    return None if time is None or begin is None else (time - begin).total_seconds() * 1e3


def status_of(value: Any, reading: Reading = PLAIN) -> str:
    """``success`` where nothing says otherwise; the join refuses words it does not know.

    Examples
    --------
    >>> status_of("OK"), status_of(503), status_of(True), status_of("perhaps")
    ('success', 'failure', 'success', 'perhaps')
    """
    if value is None:
        return "success"
    word = str(value).strip().lower()
    return reading.statuses.get(word) or status_word(word)


def _service_tier(value: Any) -> str | None:
    """A tier with prices of its own; the standard one has many names."""
    word = str(value or "").strip().lower()
    return _SERVICE_TIERS.get(word)


def _answer(values: Mapping[str, Any], fields: Fields) -> str | None:
    """Content, native calls, or both, as :attr:`router_ml.types.answers.Answer.stored` writes them.

    ``answer`` may name the content or the whole message.
    """
    content = find(values, fields["answer"])
    if isinstance(content, Mapping) and not _MESSAGE.isdisjoint(content):
        message = content
    else:
        calls = (open_json(find(values, fields[name])) for name in _CALLS)
        message = {"content": content, **dict(zip(_CALLS, calls, strict=True))}
    answer = Answer.from_message(message)
    return None if answer is None else answer.stored


def _text(row: dict[str, Any], values: Mapping[str, Any], fields: Fields) -> None:
    """Query text, hashes, and messages and tools as JSON."""
    tools = find_filled(values, fields["tools"])
    if isinstance(tools, Mapping):
        tools = [tools]
        row["repair"] = "tools_as_object"
    if isinstance(tools, list) and any(_is_named_only(tool) for tool in tools):
        # An exporter that took a function for a list of its keys; that there were tools is told.
        tools = [{"name": tool["function"]} if _is_named_only(tool) else tool for tool in tools]
        row["repair"] = "tools_without_description"
    try:
        tools = parse_tools(tools)
    except InvalidRequestError as error:
        _blame(row, "malformed_tools", str(error))
        return
    given = find(values, fields["query"])
    said = _said(values, fields)
    if said is None and not isinstance(given, str):
        return
    try:
        query = parse_query(said if said is not None else given, tools)
    except InvalidRequestError as error:
        _blame(row, "malformed_messages", str(error))
        return
    if is_redacted(query.ask):
        _blame(row, "redacted_text", f"the text is {query.ask[:60]!r}")
    elif is_cut(query.ask) or is_cut(query.prior):
        _blame(row, "truncated_text", f"of the text only {len(query.ask)} characters were kept")
    row["query"] = given if isinstance(given, str) else query.text
    row["query_id"] = row.get("query_id") or query_id(query)
    row["group_id"] = row.get("group_id") or group_id(query)
    row["messages"] = to_json(said) if isinstance(said, list) else None
    row["tools"] = to_json(list(tools)) if tools else None


def _is_named_only(tool: Any) -> bool:
    return isinstance(tool, Mapping) and isinstance(tool.get("function"), str)


def _said(values: Mapping[str, Any], fields: Fields) -> list[Any] | str | None:
    """First messages, as a list or as the one text that the Responses API takes for them.

    LiteLLM writes {} where it does not keep prompts.
    """
    for path in fields["messages"]:
        said = find_filled(values, [path])
        if isinstance(said, list):
            texts = all(isinstance(item, str) for item in said)
            return "\n".join(said) if texts else as_messages(said)
        if isinstance(said, Mapping):
            if "role" in said:
                return as_messages([said])
            said = find(values, [path])  # JSON that somebody pasted, if it came as text
        if isinstance(said, str) and said.strip():
            return said
    return None


def _blame(row: dict[str, Any], problem: str, detail: str) -> None:
    if "problem" not in row:
        row["problem"], row["detail"] = problem, detail
