"""Canonical Parquet -> one SELECT: no row passes through Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.join.engine import DuckDBEngine, quote, scan
from router_ml.data.schemas import PROVENANCE, Column, ColumnType, Table
from router_ml.errors import SchemaError

Fields = Mapping[str, tuple[str, ...]]

_INTEGERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
                    "UINTEGER", "UBIGINT")  # fmt: skip
_NUMBERS: Final = (*_INTEGERS, "FLOAT", "DOUBLE", "DECIMAL")
_FRACTIONS: Final = ("FLOAT", "DOUBLE", "DECIMAL")
_ACCEPTED: Final[Mapping[ColumnType, tuple[str, ...]]] = {
    "string": ("VARCHAR", "UUID", "ENUM", "JSON", "DECIMAL", *_INTEGERS),
    "bigint": _NUMBERS,
    "double": _NUMBERS,
    "boolean": ("BOOLEAN",),
    "timestamp": ("TIMESTAMP", "DATE", "VARCHAR"),
    "string[]": ("VARCHAR[]",),
    "double[]": ("DOUBLE[]", "FLOAT[]", "DECIMAL"),
}
_ZONE: Final = r"([zZ]|UTC|[+-]\d\d(:?\d\d)?)$"


def parquet_sql(
    engine: DuckDBEngine, path: Path, table: Table, fields: Fields, *, first_row_id: int = 0
) -> str:
    """Give a SELECT of a table's columns and provenance from a Parquet file.

    Raises
    ------
    SchemaError
        If the file is no Parquet, lacks a required column, or a column has another type.
    """
    parquet_names(path)
    source = scan(path, ", file_row_number = true")
    types = engine.columns(f"SELECT * FROM {source}")
    present = {c.name: _named(c.name, fields, types) for c in table.columns}
    found = [name for name, there in present.items() if there]
    if {"n_trials", "n_success"} <= set(found):
        found.append("value")  # whose place counts take
    table.require(found, _listing(path, types))
    parts = [_column(c, present[c.name], types, path) for c in table.columns]
    parts.append(f"{first_row_id} + file_row_number AS row_id")
    parts += [f"{quote(path)} AS source_file", "file_row_number + 1 AS source_line"]
    time = present.get("time")
    zoneless = (
        f"NOT regexp_matches({_name(time)}, '{_ZONE}')"
        if time and types[time] == "VARCHAR"
        else "CAST(NULL AS BOOLEAN)"
    )
    fractions = [
        f"WHEN {_name(held)} - floor({_name(held)}) <> 0 THEN 'unreadable_{column.name}'"
        for column in table.columns
        if column.type == "bigint"
        and (held := present[column.name]) is not None
        and types[held].startswith(_FRACTIONS)
    ]
    problem = f"CASE {' '.join(fractions)} END" if fractions else "CAST(NULL AS VARCHAR)"
    parts.append(f"{problem} AS problem")
    rest = {"detail", "exclusion", "repair", "raw"}
    for column in PROVENANCE.columns:
        if column.name in rest:
            parts.append(f"CAST(NULL AS {column.type}) AS {column.name}")
    parts += [f"{zoneless} AS zoneless", f"{quote(table.name)} AS origin"]
    return f"SELECT {', '.join(parts)} FROM {source}"


def parquet_names(path: Path) -> Sequence[str]:
    """Column names of a Parquet file; SchemaError if it is none."""
    try:
        names: list[str] = pq.read_schema(path).names
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{path} is not Parquet: {error}; export it again") from error
    return names


def _named(name: str, fields: Fields, types: Mapping[str, str]) -> str | None:
    """Column of the file that holds a canonical column."""
    return next((source for source in fields.get(name, (name,)) if source in types), None)


def _column(column: Column, source: str | None, types: Mapping[str, str], path: Path) -> str:
    if source is None:
        return f"CAST(NULL AS {column.type}) AS {column.name}"
    kind = types[source]
    if column.name == "value" and kind == "BOOLEAN":
        return f"CAST({_name(source)} AS DOUBLE) AS value"  # a verdict
    if not kind.startswith(_ACCEPTED[column.type]) or kind.endswith("[]") != column.type.endswith(
        "[]"
    ):
        raise SchemaError(
            f"{path}: column {source} must be {column.type}, got {kind}; cast it when exporting"
        )
    if column.type != "timestamp":
        return f"TRY_CAST({_name(source)} AS {column.type}) AS {column.name}"
    if kind in ("VARCHAR", "TIMESTAMP WITH TIME ZONE"):
        text = f"TRY_CAST({_name(source)} AS TIMESTAMPTZ)"
        return f"{text} AT TIME ZONE 'UTC' AS {column.name}"
    return f"CAST({_name(source)} AS TIMESTAMP) AS {column.name}"


def _name(source: str) -> str:
    return '"' + source.replace('"', '""') + '"'


def _listing(path: Path, types: Mapping[str, str]) -> str:
    return f"{path} (columns: {', '.join(types)})"
