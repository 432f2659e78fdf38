"""Canonical Parquet -> one SELECT: no row passes through Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipelines.join.engine import DuckDBEngine, quote, scan
from pipelines.join.sources.fields import Fields
from pipelines.join.sources.places import hive_values, open_parquet
from router_ml.data.schemas import PROVENANCE, Column, ColumnType, Table
from router_ml.errors import SchemaError

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
_NOTHING: Final = '"NULL"'
"""Type of a column that holds no value at all."""
FILE_ROWS: Final = 2**40
"""More rows than any file has: a row's number is that of its file times this, and its place."""
_ZONE: Final = r"([zZ]|UTC|[+-]\d\d(:?\d\d)?)$"


def parquet_sql(
    engine: DuckDBEngine, paths: Sequence[Path], table: Table, fields: Fields, *, number: int = 0
) -> str:
    """Give a SELECT of a table's columns and provenance from Parquet files.

    Parameters
    ----------
    paths : files of the same columns, and of the same names in their folders
    number : of the first file, which ``row_id`` begins with

    Raises
    ------
    SchemaError
        If a file is no Parquet, lacks a required column, or a column has another type.
    """
    first = paths[0]
    engine.reach(first)
    folders = _folders(first)
    options = ", file_row_number = true"
    source = scan(*paths, options=options, hive=folders)
    types = engine.columns(f"SELECT * FROM {scan(first, options=options, hive=folders)}")
    present = {c.name: _named(c.name, fields, types) for c in table.columns}
    found = [name for name, there in present.items() if there]
    if {"n_trials", "n_success"} <= set(found):
        found.append("value")  # whose place counts take
    table.require(found, _listing(first, types))
    parts = [_column(c, present[c.name], types, first) for c in table.columns]
    told = _provenance(table, present, types)
    # Without the cast it is a HUGEINT, which Parquet holds as a double: rows beyond 2**53 are one.
    told["row_id"] = f"({number} + CAST(file_index AS BIGINT)) * {FILE_ROWS} + file_row_number"
    parts += [f"{told[c.name]} AS {c.name}" for c in PROVENANCE.columns]
    return f"SELECT {', '.join(parts)} FROM {source}"


def _provenance(
    table: Table, present: Mapping[str, str | None], types: Mapping[str, str]
) -> dict[str, str]:
    """Expressions of what a source adds to a row."""
    time = present.get("time")
    fractions = [
        f"WHEN {_name(held)} - floor({_name(held)}) <> 0 THEN 'unreadable_{column.name}'"
        for column in table.columns
        if column.type == "bigint"
        and (held := present[column.name]) is not None
        and types[held].startswith(_FRACTIONS)
    ]
    told = {c.name: f"CAST(NULL AS {c.type})" for c in PROVENANCE.columns}
    told |= {
        "source_file": "filename",
        "source_line": "file_row_number + 1",
        "origin": quote(table.name),
    }
    if fractions:
        told["problem"] = f"CASE {' '.join(fractions)} END"
    if time and types[time] == "VARCHAR":
        told["zoneless"] = f"NOT regexp_matches({_name(time)}, '{_ZONE}')"
    return told


def parquet_names(path: Path) -> tuple[str, ...]:
    """Column names of a Parquet file, and what its folders add; SchemaError if it is none."""
    return tuple(name for name, _ in parquet_columns(path))


def parquet_columns(path: Path) -> tuple[tuple[str, str], ...]:
    """Names and types of a Parquet file's columns, and those that its folders add.

    Raises
    ------
    SchemaError
        If it is no Parquet.
    """
    try:
        with open_parquet(path) as file:
            columns = [(field.name, str(field.type)) for field in file.schema_arrow]
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{path} is not Parquet: {error}; export it again") from error
    names = {name for name, _ in columns}
    return (*columns, *((name, "folder") for name in hive_values(path) if name not in names))


def _folders(path: Path) -> bool:
    """Whether folders give columns; where a file has one of them itself, the file's hold."""
    names = set(hive_values(path))
    return bool(names) and names <= {
        name for name, kind in parquet_columns(path) if kind == "folder"
    }


def _named(name: str, fields: Fields, types: Mapping[str, str]) -> str | None:
    """Column of the file that holds a canonical column."""
    return next((source for source in fields.get(name, (name,)) if source in types), None)


def _column(column: Column, source: str | None, types: Mapping[str, str], path: Path) -> str:
    kind = _NOTHING if source is None else types[source]
    if source is None or kind == _NOTHING:
        return f"CAST(NULL AS {column.type}) AS {column.name}"
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
