"""Records of an arena's file -> comparisons of two candidates, or why a record is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.join.sources.fields import Fields
from pipelines.join.sources.files import csv_header, format_of, read_records
from pipelines.join.sources.parquet import parquet_names
from pipelines.join.sources.records import Record
from pipelines.join.sources.values import (
    PLAIN,
    Reading,
    UnreadableError,
    convert,
    find,
    find_filled,
    to_json,
    to_time,
)
from router_ml.errors import ConfigError

CANONICAL: Final[Fields] = {
    "request_id": ("request_id",),
    "prompt": ("prompt", "query", "question", "messages", "conversation_a", "conversation"),
    "tools": ("tools",),
    "candidate_a": ("candidate_a", "model_a"),
    "candidate_b": ("candidate_b", "model_b"),
    "winner": ("winner", "preference", "verdict"),
    "source": ("source",),
    "weight": ("weight",),
    "time": ("time", "tstamp", "timestamp", "created_at"),
}
ONE_HOT: Final = {"winner_model_a": "a", "winner_model_b": "b", "winner_tie": "tie"}
"""Columns of which one is 1, in the place of a winner."""
WORDS: Final = {
    **dict.fromkeys(("a", "model_a", "candidate_a", "left", "1", "a>b", "a>>b", "model a"), "a"),
    **dict.fromkeys(("b", "model_b", "candidate_b", "right", "2", "b>a", "b>>a", "model b"), "b"),
    **dict.fromkeys(("tie", "both", "equal", "same", "draw", "a=b", "both_good", "0"), "tie"),
    **dict.fromkeys(
        ("both_bad", "bothbad", "tie (bothbad)", "tie (both bad)", "neither", "both bad"),
        "both_bad",
    ),
}
PAIR: Final = ("candidate_a", "candidate_b")


def with_overrides(overrides: Fields) -> Fields:
    """Replace some columns' paths; ConfigError on a column that comparisons do not have."""
    if unknown := sorted(set(overrides) - set(CANONICAL)):
        raise ConfigError(
            f"fields of comparisons have no {', '.join(unknown)}; there are {', '.join(CANONICAL)}"
        )
    return {**CANONICAL, **overrides}


def are_pairs(columns: Iterable[str], fields: Fields = CANONICAL) -> bool:
    """Whether a file with these columns compares candidates.

    Examples
    --------
    >>> are_pairs(["question_id", "model_a", "model_b", "winner"])
    True
    >>> are_pairs(["request_id", "value"])
    False
    """
    there = set(columns)
    verdict = bool(there & {*fields["winner"], *ONE_HOT})
    return verdict and all(there & set(fields[name]) for name in PAIR)


def holds_pairs(path: Path, overrides: Fields, encoding: str) -> bool:
    """Whether a label file compares candidates, by its columns or its first record's keys."""
    kind = format_of(path)
    if kind == "parquet":
        columns: Iterable[str] = parquet_names(path)
    elif kind == "csv":
        columns = csv_header(path, encoding=encoding)
    else:
        first = next(iter(read_records(path, encoding=encoding)), None)
        columns = (first.values or {}) if first is not None else ()
    named = {k: v for k, v in overrides.items() if k in CANONICAL}
    return are_pairs(columns, {**CANONICAL, **named})


def preference_rows(
    records: Iterable[Record],
    fields: Fields,
    *,
    reading: Reading = PLAIN,
    source: str = "",
) -> Iterator[dict[str, Any]]:
    """One row a record, with ``problem`` and ``detail`` where it cannot be used.

    ``prompt`` is text, or messages as JSON text; of a conversation only what comes before its first
    answer counts, since that is what both candidates were asked.
    """
    for record in records:
        row: dict[str, Any] = {"line": record.line, "raw": record.text}
        if record.values is None:
            yield row | {"problem": "malformed_line", "detail": record.detail}
            continue
        try:
            yield row | _row(record.values, fields, reading, source)
        except UnreadableError as error:
            yield row | {"problem": "unreadable_value", "detail": str(error)}


def _row(
    values: Mapping[str, Any], fields: Fields, reading: Reading, source: str
) -> dict[str, Any]:
    names = {name: convert(find(values, fields[name]), "string") for name in PAIR}
    said = find(values, fields["winner"])
    row = {
        **names,
        "request_id": convert(find(values, fields["request_id"]), "string"),
        "prompt": _asked(find_filled(values, fields["prompt"])),
        "tools": to_json(find_filled(values, fields["tools"])),
        "winner": winner_of(said, values, names),
        "source": convert(find(values, fields["source"]), "string") or source or "human",
        "weight": convert(find(values, fields["weight"]), "double", reading),
        "time": to_time(find(values, fields["time"]), reading)[0],
    }
    weight = row["weight"]
    if missing := [name for name in PAIR if not names[name]]:
        return row | {"problem": f"missing_{missing[0]}", "detail": None}
    if names["candidate_a"] == names["candidate_b"]:
        return row | {"problem": "same_candidate", "detail": names["candidate_a"]}
    if row["winner"] is None:
        shown = "nothing" if said is None else repr(str(said)[:60])
        return row | {"problem": "unknown_winner", "detail": f"winner {shown}"}
    if weight is not None and not 0.0 < weight < 1e9:
        return row | {"problem": "invalid_weight", "detail": f"weight {weight}"}
    if not row["prompt"] and not row["request_id"]:
        return row | {"problem": "no_text", "detail": None}
    return row


def winner_of(said: Any, values: Mapping[str, Any], names: Mapping[str, Any]) -> str | None:
    """``a``, ``b``, ``tie`` or ``both_bad``; None if it cannot be told.

    Examples
    --------
    >>> winner_of("tie (bothbad)", {}, {})
    'both_bad'
    >>> winner_of("gpt-4", {}, {"candidate_a": "vicuna", "candidate_b": "gpt-4"})
    'b'
    """
    if said is None:
        marked = [word for column, word in ONE_HOT.items() if str(values.get(column)) in _TRUE]
        return marked[0] if len(marked) == 1 else None
    for short, name in (("a", "candidate_a"), ("b", "candidate_b")):
        if said == names.get(name):
            return short
    return WORDS.get(str(said).strip().lower())


_TRUE: Final = {"1", "1.0", "True", "true"}


def _asked(value: Any) -> str | None:
    """Text, or the messages before the first answer as JSON; a list of turns gives its first."""
    if not isinstance(value, list):
        return None if value is None else str(value)
    if value and isinstance(value[0], Mapping):
        asked: list[Any] = []
        for message in value:
            if message.get("role") in ("assistant", "model"):
                break
            asked.append(message)
        return to_json(asked) if asked else None
    return str(value[0]) if value else None
