"""Records out of JSON: one object a line, one array, or objects over several lines each."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO, Final

import orjson

from pipelines.join.sources.records import Record

LISTS: Final = (
    "data",
    "logs",
    "requests",
    "traces",
    "spans",
    "observations",
    "completions",
    "items",
    "results",
    "records",
    "rows",
)
"""Keys under which an export may hold its records as one list."""
_OWN: Final = frozenset(
    {"id", "request_id", "trace_id", "inference_id", "model", "messages", "input", "info"}
)
"""Keys of a record of its own, which is no mere wrapper."""
_SPACE: Final = re.compile(r"[\s,\[\]]*")
_OPEN: Final = (b"{", b"[", b",")


def json_records(stream: BinaryIO) -> Iterator[Record]:
    """Records of JSON text, whatever its shape; blank lines are no records.

    One object a line is read line by line. Anything else (an array, indented objects, an object
    that holds its records as a list) is read whole; its records stand on the line they begin.
    """
    first = b""
    skipped = 0
    for line in stream:
        first = line.removeprefix(codecs.BOM_UTF8) if skipped == 0 else line
        if first.strip():
            break
        skipped += 1
    begin = first.strip()
    if begin.startswith(b"[") or (begin.endswith(_OPEN) and begin.startswith(b"{")):
        yield from _document(first + stream.read(), skipped)
        return
    second = next((line for line in stream if line.strip()), b"")
    held = None if second else _held(_parsed(first))
    if held is not None:
        yield from _document(first, skipped)
        return
    yield from _lines(chain([first, second], stream) if second else iter([first]), skipped)


def _lines(lines: Iterator[bytes], skipped: int) -> Iterator[Record]:
    for number, line in enumerate(lines, start=skipped + 1):
        if not line.strip():
            continue
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Record(number, line, None, f"not JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Record(number, line, values)
        else:
            yield Record(number, line, None, "not a JSON object")


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _held(values: Any) -> str | None:
    """Key of the list of records that an object is a mere wrapper of."""
    if not isinstance(values, Mapping) or not _OWN.isdisjoint(values):
        return None
    for key in LISTS:
        held = values.get(key)
        if isinstance(held, list) and held and all(isinstance(item, Mapping) for item in held):
            return key
    return None


def _document(data: bytes, skipped: int) -> Iterator[Record]:
    """Values of a text one after another, those of lists and wrappers one by one."""
    text = data.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    at, line, counted = 0, skipped + 1, 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= len(text):
            return
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raw = text[at:].encode("utf-8", "surrogateescape")
            yield Record(line, raw[:100_000], None, f"not JSON from here on: {error}")
            return
        raw = text[at:end].encode("utf-8", "surrogateescape")
        key = _held(value)
        if key is not None:
            for item in value[key]:
                written = json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass")
                yield Record(line, written, item)
        elif isinstance(value, Mapping):
            yield Record(line, raw, value)
        else:
            yield Record(line, raw, None, "not a JSON object")
        at = end
