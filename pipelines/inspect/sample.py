"""The first rows of a file, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from pipelines.join.sources.files import csv_header, format_of, is_utf8, read_records
from pipelines.join.sources.parquet import parquet_names
from pipelines.join.sources.records import Record
from pipelines.join.sources.shapes import Shape, shape_of

MAX_ROWS: Final = 20_000
FALLBACK_ENCODING: Final = "cp1252"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one file.

    Parameters
    ----------
    path : as it was given
    kind : ``csv``, ``json`` or ``parquet``
    columns : names of a table's columns; of JSON the keys of its records
    rows : the first records
    complete : whether that are all
    encoding : ``""`` = UTF-8
    shape : of a request log in JSON, if it is of a known one
    """

    path: str
    kind: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    complete: bool
    encoding: str = ""
    shape: Shape | None = None

    def values(self, column: str) -> list[Any]:
        """Values of a column that are there."""
        found = (row.get(column) for row in self.rows)
        return [value for value in found if value is not None and value != ""]


def read_sample(path: str) -> Sample:
    """The first ``MAX_ROWS`` records of a file, and what it looks like.

    Raises
    ------
    SchemaError
        If the file cannot be read at all.
    """
    file = Path(path)
    kind = format_of(file)
    if kind == "parquet":
        names = tuple(parquet_names(file))
        table = pq.ParquetFile(file)
        batch = next(table.iter_batches(batch_size=MAX_ROWS), None)
        rows = [] if batch is None else batch.to_pylist()
        return Sample(path, kind, names, rows, table.metadata.num_rows <= MAX_ROWS)
    encoding = "" if kind != "csv" or is_utf8(file) else FALLBACK_ENCODING
    records = read_records(file, encoding=encoding)
    first = list(islice(records, MAX_ROWS + 1))
    rows = [record.values for record in first[:MAX_ROWS] if record.values is not None]
    complete = len(first) <= MAX_ROWS
    if kind == "csv":
        return Sample(path, kind, csv_header(file, encoding=encoding), rows, complete, encoding)
    keys = tuple(dict.fromkeys(key for row in rows[:1_000] for key in row))
    shape, _ = shape_of(iter([Record(1, None, row) for row in rows]), fallback=None)
    return Sample(path, "json", keys, rows, complete, shape=shape)
