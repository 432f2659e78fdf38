"""Rows made in Python -> a Parquet file of canonical columns, a bounded batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.data.schemas import PROVENANCE, ColumnType, Table

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
    """Columns of a table as Arrow types."""
    columns = table.columns
    return pa.schema([pa.field(c.name, _ARROW[c.type]) for c in columns])


class Staging:
    """A Parquet file that rows are added to; absent columns are null.

    Memory is bounded by rows and by the characters that a batch holds, since one request may carry
    a megabyte of messages.

    Parameters
    ----------
    table : whose columns, and by default whose name as ``origin``
    path : file to write
    first_row_id : ``row_id`` of the first row
    """

    def __init__(self, table: Table, path: Path, *, first_row_id: int = 0) -> None:
        self.table = table
        self.path = path
        self.first_row_id = first_row_id
        self.written = 0
        self._schema = pa.schema([*arrow_schema(table), *arrow_schema(PROVENANCE)])
        self._batch: list[Mapping[str, Any]] = []
        self._chars = 0
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        row_id = self.first_row_id + self.written
        self._batch.append({"origin": self.table.name, **row, "row_id": row_id})
        self.written += 1
        self._chars += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(self._batch) >= BATCH_ROWS or self._chars >= BATCH_CHARS:
            self._flush()

    def copy(self, path: Path) -> None:
        """Add all rows of a file that another staging wrote, numbered on."""
        self._flush()
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS):
            first = self.first_row_id + self.written
            number = pa.array(range(first, first + len(batch)), pa.int64())
            place = batch.schema.get_field_index("row_id")
            self._writer.write_batch(batch.set_column(place, "row_id", number))
            self.written += len(batch)

    def _flush(self) -> None:
        if self._batch:
            self._writer.write_table(pa.Table.from_pylist(self._batch, schema=self._schema))
            self._batch.clear()
            self._chars = 0


def stage(
    rows: Iterable[Mapping[str, Any]], table: Table, path: Path, *, first_row_id: int = 0
) -> int:
    """Write rows to ``path``; the number written."""
    with Staging(table, path, first_row_id=first_row_id) as staging:
        for row in rows:
            staging.add(row)
    return staging.written
