"""Records of a label file -> canonical labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.join.sources.files import Record
from pipelines.join.sources.values import UnreadableError, convert, find, to_time
from router_ml.data.schemas import LABELS
from router_ml.errors import ConfigError

Fields = Mapping[str, tuple[str, ...]]
_VERDICTS: Final = {"true": 1.0, "false": 0.0}
CANONICAL: Final[Fields] = {name: (name,) for name in LABELS.names}


def with_overrides(overrides: Fields) -> Fields:
    """Replace some columns' paths; ConfigError on a column that labels do not have."""
    if unknown := sorted(set(overrides) - set(CANONICAL)):
        raise ConfigError(
            f"label_fields has no field {', '.join(unknown)}; there are {', '.join(CANONICAL)}"
        )
    return {**CANONICAL, **overrides}


def label_rows(records: Iterable[Record], fields: Fields, file: Path) -> Iterator[dict[str, Any]]:
    """Canonical rows with provenance, one per record, none left out."""
    for record in records:
        row: dict[str, Any] = {"source_file": str(file), "source_line": record.line}
        if record.values is None:
            row |= {"problem": "malformed_line", "detail": record.detail, "raw": record.text}
            yield row
            continue
        for column in LABELS.columns:
            value = find(record.values, fields[column.name])
            if column.name == "value":
                value = _verdict(value)
            if column.type == "string" and isinstance(value, float):
                value = find(record.as_written(), fields[column.name])
            try:
                if column.type == "timestamp":
                    row["time"], row["zoneless"] = to_time(value)
                else:
                    row[column.name] = convert(value, column.type)
            except UnreadableError as error:
                row |= {"problem": f"unreadable_{column.name}", "detail": str(error)}
                row["raw"] = record.text
        yield row


def _verdict(value: Any) -> Any:
    """A verdict is a number; booleans are no numbers anywhere else."""
    if isinstance(value, bool):
        return float(value)
    return _VERDICTS.get(value.strip().lower(), value) if isinstance(value, str) else value
