"""Rows made in Python -> a Parquet file of canonical columns, a bounded batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.schemas import PROVENANCE, ColumnType, Table

BATCH_ROWS: Final = 20_000
BATCH_CHARS: Final = 32_000_000
_ARROW: Final[Mapping[ColumnType, Any]] = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "string[]": pa.list_(pa.string()),
    "double[]": pa.list_(pa.float64()),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Columns of a table and its provenance, as Arrow types."""
    columns = (*table.columns, *PROVENANCE.columns)
    return pa.schema([pa.field(c.name, _ARROW[c.type]) for c in columns])


def stage(
    rows: Iterable[Mapping[str, Any]], table: Table, path: Path, *, first_row_id: int = 0
) -> int:
    """Write rows (absent columns are null) to ``path``; the number written.

    Memory is bounded by rows and by the characters that a batch holds, since one request may carry
    a megabyte of messages.
    """
    schema = arrow_schema(table)
    written = chars = 0
    batch: list[Mapping[str, Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for row_id, row in enumerate(rows, start=first_row_id):
            batch.append({**row, "row_id": row_id})
            chars += sum(len(value) for value in row.values() if isinstance(value, str))
            if len(batch) >= BATCH_ROWS or chars >= BATCH_CHARS:
                written += _flush(writer, batch, schema)
                chars = 0
        written += _flush(writer, batch, schema)
    return written


def _flush(writer: pq.ParquetWriter, batch: list[Mapping[str, Any]], schema: pa.Schema) -> int:
    size = len(batch)
    if size:
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
        batch.clear()
    return size
