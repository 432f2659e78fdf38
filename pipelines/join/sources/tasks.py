"""What is done with one file, or with Parquet files of the same columns: a task of an engine's."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from pipelines.config import JoinConfig, LabelFile
from pipelines.join.engine import DuckDBEngine, Part
from pipelines.join.sources import labels as label_source
from pipelines.join.sources.fields import CANONICAL, Fields, with_overrides
from pipelines.join.sources.files import Progress, Record, csv_header, format_of, read_records
from pipelines.join.sources.label_shapes import known_labels
from pipelines.join.sources.parquet import (
    FILE_ROWS,
    parquet_columns,
    parquet_names,
    parquet_sql,
)
from pipelines.join.sources.places import hive_values, open_parquet
from pipelines.join.sources.preferences import CANONICAL as PAIR_CANONICAL
from pipelines.join.sources.requests import request_rows
from pipelines.join.sources.shapes import LITELLM_LOG, shape_of
from pipelines.join.sources.staging import stage
from pipelines.join.sources.values import Reading
from router_ml.data.schemas import LABELS, PROVENANCE, REQUESTS, Table
from router_ml.errors import SchemaError

PAIR_FIELDS: Final = set(PAIR_CANONICAL) - set(label_source.CANONICAL)
"""Columns that only files of comparisons have."""
_NEEDED_OF_LABELS: Final = tuple(column.name for column in LABELS.columns if column.required)
_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Files:
    """Files that one task reads; ``number`` is that of the first among all of a table's."""

    number: int
    paths: tuple[Path, ...]
    told: LabelFile | None = None


def request_files(paths: Sequence[Path], config: JoinConfig, most: int) -> list[Files]:
    """Tasks of a request log: up to ``most`` Parquet files beside one another, or one of text."""
    fields = with_overrides(CANONICAL, config.request_fields)

    def alike(numbered: tuple[int, Path]) -> Hashable:
        number, path = numbered
        columns = parquet_columns(path) if format_of(path) == "parquet" else ()
        whole = _hashed([name for name, _ in columns], fields)
        return (number // most, columns) if whole else number

    return [
        Files(group[0][0], tuple(path for _, path in group))
        for group in (list(g) for _, g in groupby(enumerate(paths), key=alike))
    ]


def label_files(
    found: Sequence[tuple[Path, LabelFile]], config: JoinConfig, most: int
) -> list[Files]:
    """Tasks of label files, as :func:`request_files` makes them."""

    def alike(numbered: tuple[int, tuple[Path, LabelFile]]) -> Hashable:
        number, (path, item) = numbered
        if format_of(path) != "parquet" or not _canonical_labels(path, item, config):
            return number
        return (number // most, parquet_columns(path))

    return [
        Files(group[0][0], tuple(path for _, (path, _) in group), group[0][1][1])
        for group in (list(g) for _, g in groupby(enumerate(found), key=alike))
    ]


def request_part(
    engine: DuckDBEngine, files: Files, progress: Progress | None, *, config: JoinConfig
) -> Part:
    """Canonical requests of a task's files."""
    path = files.paths[0]
    kind = format_of(path)
    fields = with_overrides(CANONICAL, config.request_fields)
    if kind == "parquet" and _hashed(parquet_names(path), fields):
        return _in_place(engine, files, REQUESTS, fields)
    table = kind in ("csv", "parquet") and _has_columns(REQUESTS, fields, path, config)
    records = records_of(path, config, progress)
    if not table:
        shape, records = shape_of(records, None if kind in ("csv", "parquet") else LITELLM_LOG)
        if shape is None:  # a table of no known tool: say what columns it lacks
            _require(REQUESTS, fields, path, kind, config.csv_encoding)
            shape = LITELLM_LOG
        records = shape.requests(records)
        fields = with_overrides(shape.all_fields, config.request_fields)
    rows = request_rows(records, fields, path, reading_of(config))
    return staged_part(engine.work, rows, REQUESTS, files.number)


def label_part(
    engine: DuckDBEngine, files: Files, progress: Progress | None, *, config: JoinConfig
) -> Part:
    """Canonical labels of a task's files."""
    path = files.paths[0]
    item = files.told or LabelFile(files=(str(path),))
    fields = _label_fields(item, config)
    kind = format_of(path)
    if kind == "parquet" and _canonical_labels(path, item, config):
        return _in_place(engine, files, LABELS, fields)
    given = [key for key in ("name", "source") if getattr(item, key)]
    records = records_of(path, config, progress)
    shaped = False
    if not item.fields:
        shaped, records = known_labels(records)
    flat = kind == "parquet" and _is_flat(fields, parquet_names(path))
    if flat and not (given or shaped):
        return _in_place(engine, files, LABELS, fields)
    if kind == "csv" and not shaped:
        if label_source.has_counts(csv_header(path, encoding=config.csv_encoding), fields):
            given.append("value")
        _require(LABELS, fields, path, "csv", config.csv_encoding, given)
    rows = label_source.label_rows(
        records, fields, path, reading=reading_of(config), name=item.name, source=item.source
    )
    return staged_part(engine.work, rows, LABELS, files.number)


def records_of(
    path: Path, config: JoinConfig, progress: Progress | None = None
) -> Iterator[Record]:
    """Records of a file of any format."""
    if format_of(path) == "parquet":
        return _parquet_records(path)
    return read_records(path, progress, encoding=config.csv_encoding)


def _label_fields(item: LabelFile, config: JoinConfig) -> Fields:
    own = {k: v for k, v in item.fields.items() if k not in PAIR_FIELDS}
    return label_source.with_overrides(config.label_fields, own)


def _canonical_labels(path: Path, item: LabelFile, config: JoinConfig) -> bool:
    """Whether a Parquet file has the required columns, so that SQL can read it."""
    fields, names = _label_fields(item, config), parquet_names(path)
    there = all(set(fields[name]) & set(names) for name in _NEEDED_OF_LABELS)
    return there and _is_flat(fields, names) and not (item.name or item.source)


def staged_part(
    work: Path, rows: Iterable[Mapping[str, Any]], table: Table, number: int = 0
) -> Part:
    """Rows made in Python, written to a Parquet file."""
    path = work / f"staged_{table.name}_{number}.parquet"
    count = stage(rows, table, path, first_row_id=number * FILE_ROWS)
    return Part(count, columns_of(table), staged=path)


def columns_of(table: Table) -> tuple[str, ...]:
    """A table's columns, and those that every source adds."""
    return (*table.names, *PROVENANCE.names)


def _in_place(engine: DuckDBEngine, files: Files, table: Table, fields: Fields) -> Part:
    """Canonical Parquet that SQL reads where it is."""
    sql = parquet_sql(engine, files.paths, table, fields, number=files.number)
    rows = sum(_parquet_rows(path) for path in files.paths)
    return Part(rows, columns_of(table), sql=sql)


def _hashed(names: Sequence[str], fields: Fields) -> bool:
    """Whether a canonical file carries its hashes, so that its text need not be read."""
    return all(set(names) & set(fields[column]) for column in ("query_id", "group_id"))


def _has_columns(table: Table, fields: Fields, path: Path, config: JoinConfig) -> bool:
    """Whether a tabular file has the required columns; if not, it may be of a tool's own shape."""
    try:
        _require(table, fields, path, format_of(path), config.csv_encoding)
    except SchemaError:
        return False
    return True


def reading_of(config: JoinConfig) -> Reading:
    """How a config says numbers and times are written."""
    words = {word.strip().lower(): value for word, value in config.label_values.items()}
    statuses = {word.strip().lower(): told for word, told in config.status_values.items()}
    return Reading(config.time_zone, config.time_format, config.decimal_comma, words, statuses)


def _require(
    table: Table,
    fields: Fields,
    path: Path,
    kind: str,
    encoding: str,
    given: Sequence[str] = (),
) -> None:
    """Check that a tabular file has the required columns under the names that fields give.

    ``given`` are columns that the config fills in.
    """
    present = csv_header(path, encoding=encoding) if kind == "csv" else parquet_names(path)
    found = [
        name
        for name in table.names
        if name in given or any(_is_in(f, present) for f in fields[name])
    ]
    if "messages" in found:
        found.append("query")  # the text is read out of them
    where = f"{path} (columns: {', '.join(present)})"
    untold = [name for name in ("name", "source") if name not in found]
    if table is LABELS and untold and set(_NEEDED_OF_LABELS) <= {*found, *untold}:
        named = next((f for f in fields["value"] if f in present), "thumbs")
        told = {"name": named, "source": "user"}
        own = ", ".join(f"{name}: {told[name]}" for name in untold)
        raise SchemaError(
            f"{where}: labels need {' and '.join(untold)}, which no column has; say it of the "
            f"whole file: labels: [{{files: {path}, {own}}}] or another source"
        )
    table.require(found, where)


def _is_in(path: str, columns: Sequence[str]) -> bool:
    """Whether a path is a column, or leads into one."""
    return path in columns or path.split(".", 1)[0] in columns


def _is_flat(fields: Fields, columns: Sequence[str]) -> bool:
    """Whether no field lies inside a column (a struct, or JSON), which Python has to open."""
    return not any(
        path not in columns and path.split(".", 1)[0] in columns
        for paths in fields.values()
        for path in paths
    )


def _parquet_rows(path: Path) -> int:
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _parquet_records(path: Path) -> Iterator[Record]:
    """Rows of a canonical file whose text is still to be hashed."""
    parquet_names(path)  # says so where the file is none
    line, folders = 0, hive_values(path)
    with open_parquet(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            for values in batch.to_pylist():
                line += 1
                yield Record(line, None, {**folders, **values})
