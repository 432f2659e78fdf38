"""The first rows of a file, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pipelines.join.sources.files import csv_header, csv_separator, format_of, is_utf8, read_records
from pipelines.join.sources.messages import as_messages
from pipelines.join.sources.parquet import parquet_names
from pipelines.join.sources.places import is_url, open_parquet, remote_files
from pipelines.join.sources.records import Record
from pipelines.join.sources.shapes import Shape, shape_of
from pipelines.join.sources.values import find, open_json
from router_ml.errors import ConfigError

MAX_ROWS: Final = 20_000
FALLBACK_ENCODING: Final = "cp1252"
_LOOKED_INTO: Final = 100
"""Rows whose objects are opened to see what lies in them."""
_DEEPEST: Final = 6
_MOST_PATHS: Final = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one file.

    Parameters
    ----------
    path : as it was given
    file : where it is opened
    kind : ``csv``, ``json`` or ``parquet``
    columns : names of a table's columns and of the keys of JSON; what lies inside an object, a
        struct or JSON in a text has a dotted path
    rows : the first records
    complete : whether that are all
    encoding : ``""`` = UTF-8
    separator : of the columns of CSV
    shape : of a request log in JSON, if it is of a known one
    """

    path: str
    file: Path
    kind: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    complete: bool
    encoding: str = ""
    separator: str = ""
    shape: Shape | None = None

    def values(self, column: str) -> list[Any]:
        """Values of a column that are there."""
        found = (find(row, (column,)) for row in self.rows)
        return [value for value in found if value is not None and value != ""]


def read_sample(path: str) -> Sample:
    """The first ``MAX_ROWS`` records of a file, and what it looks like.

    Parameters
    ----------
    path : of a file, or its URL

    Raises
    ------
    ConfigError
        If it names no file, or several.
    SchemaError
        If the file cannot be read at all.
    """
    file = _file(path)
    kind = format_of(file)
    if kind == "parquet":
        names = tuple(parquet_names(file))
        table = open_parquet(file)
        batch = next(table.iter_batches(batch_size=MAX_ROWS), None)
        rows = [] if batch is None else batch.to_pylist()
        shape, _ = shape_of(iter([Record(1, None, row) for row in rows]), fallback=None)
        columns = names if shape else paths_in(names, rows)
        complete = table.metadata.num_rows <= MAX_ROWS
        return Sample(path, file, kind, columns, rows, complete, shape=shape)
    encoding = "" if kind != "csv" or is_utf8(file) else FALLBACK_ENCODING
    records = read_records(file, encoding=encoding)
    first = list(islice(records, MAX_ROWS + 1))
    rows = [record.values for record in first[:MAX_ROWS] if record.values is not None]
    complete = len(first) <= MAX_ROWS
    if kind == "csv":
        columns = paths_in(csv_header(file, encoding=encoding), rows)
        separator = csv_separator(file, encoding=encoding)
        return Sample(path, file, kind, columns, rows, complete, encoding, separator)
    keys = tuple(dict.fromkeys(key for row in rows[:1_000] for key in row))
    shape, _ = shape_of(iter([Record(1, None, row) for row in rows]), fallback=None)
    columns = keys if shape else paths_in(keys, rows)
    return Sample(path, file, "json", columns, rows, complete, shape=shape)


def _file(path: str) -> Path:
    """The one file that a path or URL names."""
    if not is_url(path):
        found = [Path(path)] if Path(path).is_file() else []
    else:
        found = remote_files(path)
    if not found:
        raise ConfigError(f"no file {path}; check the path")
    if len(found) > 1:
        raise ConfigError(
            f"{path} names {len(found)} files, of which inspect looks at one: name it, such as "
            f"{found[0]}, and put the pattern into the mapping"
        )
    return found[0]


def paths_in(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Columns, and the paths of what lies inside them, as far as a few rows show it."""
    found: dict[str, None] = {}
    for name in names:
        inside: dict[str, None] = {}
        for row in rows[:_LOOKED_INTO]:
            _leaves(row.get(name), name, inside, _DEEPEST)
        found |= inside if inside else {name: None}
    return tuple(found)[:_MOST_PATHS]


def _leaves(value: Any, path: str, found: dict[str, None], depth: int) -> None:
    held = open_json(value)
    if isinstance(held, Mapping) and held and depth:
        for key, part in held.items():
            _leaves(part, f"{path}.{key}", found, depth - 1)
    elif isinstance(held, list) and held and depth and not is_conversation(held):
        _leaves(held[0], f"{path}.0", found, depth - 1)
    elif value is not None:
        found[path] = None


def is_conversation(items: Sequence[Any]) -> bool:
    """Whether a list is one of messages, in whatever form."""
    return any(
        isinstance(item, Mapping) and {"role", "content"} <= set(item)
        for item in as_messages(list(items))
    )
