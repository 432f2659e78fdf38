"""Records of a label file -> canonical labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pipelines.join.sources.fields import Fields
from pipelines.join.sources.records import Record
from pipelines.join.sources.values import (
    PLAIN,
    Reading,
    UnreadableError,
    convert,
    find,
    to_time,
)
from router_ml.data.schemas import LABELS
from router_ml.errors import ConfigError

_VERDICTS: Final = {"true": 1.0, "false": 0.0}
CANONICAL: Final[Fields] = {name: (name,) for name in LABELS.names}


def with_overrides(overrides: Fields, own: Fields | None = None) -> Fields:
    """Replace some columns' paths; ConfigError on a column that labels do not have.

    ``own`` are those of one file, which win.
    """
    given = {**overrides, **(own or {})}
    if unknown := sorted(set(given) - set(CANONICAL)):
        raise ConfigError(
            f"label_fields has no field {', '.join(unknown)}; there are {', '.join(CANONICAL)}"
        )
    return {**CANONICAL, **given}


def has_counts(present: Iterable[str], fields: Fields) -> bool:
    """Whether columns are there that stand in the place of a value."""
    there = set(present)
    return all(there & set(fields[name]) for name in ("n_trials", "n_success"))


def label_rows(
    records: Iterable[Record],
    fields: Fields,
    file: Path,
    *,
    reading: Reading = PLAIN,
    name: str = "",
    source: str = "",
) -> Iterator[dict[str, Any]]:
    """Canonical rows with provenance, one per record, none left out.

    Parameters
    ----------
    name, source : of rows that give none
    """
    given = {"name": name or None, "source": source or None}
    for record in records:
        row: dict[str, Any] = {"source_file": str(file), "source_line": record.line}
        if record.values is None:
            row |= {"problem": "malformed_line", "detail": record.detail, "raw": record.text}
            yield row
            continue
        for column in LABELS.columns:
            value = find(record.values, fields[column.name])
            if column.name == "value":
                value = _verdict(value, reading)
            if column.type == "string" and isinstance(value, float):
                value = find(record.as_written(), fields[column.name])
            try:
                if column.type == "timestamp":
                    row["time"], row["zoneless"] = to_time(value, reading)
                else:
                    row[column.name] = convert(value, column.type, reading)
            except UnreadableError as error:
                row |= {"problem": f"unreadable_{column.name}", "detail": str(error)}
                row["raw"] = record.text
        row |= {key: word for key, word in given.items() if row.get(key) is None}
        yield row


def _verdict(value: Any, reading: Reading) -> Any:
    """A verdict is a number; booleans are no numbers anywhere else."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if word.endswith("%"):
        value = word.removesuffix("%").strip()
    return reading.words.get(word, _VERDICTS.get(word, value))
