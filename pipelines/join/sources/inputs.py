"""Make the join's inputs known to an engine: staged in Python where text must be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import JoinConfig, LabelFile
from pipelines.join.engine import DuckDBEngine, scan
from pipelines.join.sources import decisions as decision_source
from pipelines.join.sources import labels as label_source
from pipelines.join.sources import requests as request_source
from pipelines.join.sources.files import (
    Progress,
    Record,
    csv_header,
    expand,
    format_of,
    read_records,
)
from pipelines.join.sources.label_shapes import known_labels
from pipelines.join.sources.parquet import parquet_names, parquet_sql
from pipelines.join.sources.placeholders import REDACTED
from pipelines.join.sources.preferences import CANONICAL as PAIR_CANONICAL
from pipelines.join.sources.preferences import holds_pairs
from pipelines.join.sources.price_bands import price_bands
from pipelines.join.sources.prices import check_windows, is_one_sided, price_rows
from pipelines.join.sources.shapes import LITELLM_LOG, shape_of
from pipelines.join.sources.staging import Staging, arrow_schema, stage
from pipelines.join.sources.values import Reading
from router_ml.data.schemas import (
    BANDS,
    DECISIONS,
    FEEDBACK,
    LABELS,
    PRICES,
    PROVENANCE,
    REQUESTS,
    Table,
)
from router_ml.errors import SchemaError
from router_ml.types.failures import CLIENT_ERRORS

Fields = Mapping[str, tuple[str, ...]]
Rows = Callable[[Iterable[Record], Fields, Path], Iterator[dict[str, Any]]]

COST_SCALES: Final = {"usd": 1.0, "cents": 0.01, "micros": 1e-6}
_NEEDED_OF_LABELS: Final = tuple(column.name for column in LABELS.columns if column.required)
PAIR_FIELDS: Final = set(PAIR_CANONICAL) - set(label_source.CANONICAL)
"""Columns that only files of comparisons have."""
_COST_ROWS: Final = 100_000
"""Requests that costs are checked on, about."""
_BATCH: Final = 5_000


def add_inputs(
    engine: DuckDBEngine, config: JoinConfig, progress: Progress | None = None
) -> dict[str, int]:
    """Register ``requests``, ``labels``, ``prices`` and the settings; give the rows of each.

    With a decision log, ``requests`` and ``labels`` are what ``sql/decisions.sql`` makes of
    ``logged_requests``, ``label_files``, ``decisions`` and ``feedback``, which are registered.

    Raises
    ------
    SchemaError
        If a file is missing, empty or damaged, lacks a column, or price windows overlap.
    """
    n_requests = _add_requests(engine, config, progress)
    _add_settings(engine, config, n_requests)
    rows_in = {
        "requests": n_requests,
        "labels": _add_labels(engine, config, progress),
        "prices": 0,
    }
    if config.decisions:
        rows_in |= _add_decisions(engine, config, rows_in, progress)
    rows_in["prices"] = _add_prices(engine, config)
    return rows_in


def _add_decisions(
    engine: DuckDBEngine,
    config: JoinConfig,
    rows_in: Mapping[str, int],
    progress: Progress | None,
) -> dict[str, int]:
    """Both kinds of rows, numbered on from the requests and labels that they are put beside."""
    files = decision_source.log_files(config.decisions)
    paths = {
        "decisions": engine.work / "staged_decisions.parquet",
        "feedback": engine.work / "staged_feedback.parquet",
    }
    with (
        Staging(DECISIONS, paths["decisions"], first_row_id=rows_in["requests"]) as decisions,
        Staging(FEEDBACK, paths["feedback"], first_row_id=rows_in["labels"]) as feedback,
    ):
        staging = {"decisions": decisions, "feedback": feedback}
        for path in files:
            if format_of(path) == "parquet":
                staging[decision_source.staged_kind(path)].copy(path)
                continue
            for kind, row in decision_source.log_rows(read_records(path, progress), path):
                staging[kind].add(row)
    for name, path in paths.items():
        engine.add_view(name, f"SELECT * FROM {scan(path)}")
    return {name: part.written for name, part in staging.items()}


def _add_requests(engine: DuckDBEngine, config: JoinConfig, progress: Progress | None) -> int:
    parts, total = [], 0
    for path in expand(config.requests, "requests"):
        kind = format_of(path)
        fields = request_source.with_overrides(request_source.CANONICAL, config.request_fields)
        if kind == "parquet" and _hashed(path, fields):
            parts.append(parquet_sql(engine, path, REQUESTS, fields, first_row_id=total))
            total += _parquet_rows(path)
            continue
        table = kind in ("csv", "parquet") and _has_columns(REQUESTS, fields, path, config)
        records = (
            _parquet_records(path)
            if kind == "parquet"
            else read_records(path, progress, encoding=config.csv_encoding)
        )
        if not table:
            shape, records = shape_of(records, None if kind in ("csv", "parquet") else LITELLM_LOG)
            if shape is None:  # a table of no known tool: say what columns it lacks
                _require(REQUESTS, fields, path, kind, config.csv_encoding)
                shape = LITELLM_LOG
            records = shape.requests(records)
            fields = request_source.with_overrides(shape.all_fields, config.request_fields)
        rows = request_source.request_rows(records, fields, path, reading_of(config))
        sql, count = _stage(engine, rows, REQUESTS, total)
        parts.append(sql)
        total += count
    if not parts:
        parts.append(_stage(engine, [], REQUESTS, 0)[0])
    name = "logged_requests" if config.decisions else "requests"
    engine.add_view(name, " UNION ALL BY NAME ".join(parts))
    if total == 0 and not config.decisions:
        raise SchemaError(f"requests: no row in {', '.join(config.requests)}; export the log again")
    return total


def _add_labels(engine: DuckDBEngine, config: JoinConfig, progress: Progress | None) -> int:
    parts, total = [], 0
    files = [item if isinstance(item, LabelFile) else LabelFile(files=(item,))
             for item in config.labels]  # fmt: skip
    for item in files:
        own = {k: v for k, v in item.fields.items() if k not in PAIR_FIELDS}
        fields = label_source.with_overrides(config.label_fields, own)
        for path in expand(item.files, "labels"):
            kind = format_of(path)
            if holds_pairs(path, item.fields, config.csv_encoding):
                continue  # comparisons are no labels of one request
            given = [key for key in ("name", "source") if getattr(item, key)]
            records = records_of(path, config, progress)
            if not item.fields:
                shaped, records = known_labels(records)
            else:
                shaped = False
            flat = kind == "parquet" and _is_flat(fields, parquet_names(path))
            if flat and not (given or shaped):
                parts.append(parquet_sql(engine, path, LABELS, fields, first_row_id=total))
                total += _parquet_rows(path)
                continue
            if kind == "csv" and not shaped:
                if label_source.has_counts(csv_header(path, encoding=config.csv_encoding), fields):
                    given.append("value")
                _require(LABELS, fields, path, "csv", config.csv_encoding, given)
            rows = label_source.label_rows(
                records,
                fields,
                path,
                reading=reading_of(config),
                name=item.name,
                source=item.source,
            )
            sql, count = _stage(engine, rows, LABELS, total)
            parts.append(sql)
            total += count
    if parts and total == 0:
        named = ", ".join(pattern for item in files for pattern in item.files)
        raise SchemaError(f"labels: no row in {named}; leave labels out, or export them again")
    if not parts:
        parts.append(_stage(engine, [], LABELS, 0)[0])
    name = "label_files" if config.decisions else "labels"
    engine.add_view(name, " UNION ALL BY NAME ".join(parts))
    return total


def _add_prices(engine: DuckDBEngine, config: JoinConfig) -> int:
    rows = [
        row
        for path in expand(config.prices, "prices")
        for row in price_rows(
            path,
            config.price_fields,
            unit=config.price_unit,
            names=config.price_names,
            reading=reading_of(config),
            encoding=config.csv_encoding,
        )
    ]
    if not rows:
        raise SchemaError(f"prices: no row in {', '.join(config.prices)}; export them again")
    if any(is_one_sided(row) for row in rows):
        served = _served(engine, config)
        for row in rows:
            if is_one_sided(row) and row["candidate"] not in served:
                row["exclusion"] = "not_used"
    check_windows(rows)
    sql, count = _stage(engine, rows, PRICES, 0)
    engine.add_view("prices", sql)
    bands = [band for i, row in enumerate(rows) for band in price_bands(row, i)]
    engine.add_rows("price_bands", pa.Table.from_pylist(bands, schema=arrow_schema(BANDS)))
    return count


def records_of(
    path: Path, config: JoinConfig, progress: Progress | None = None
) -> Iterator[Record]:
    """Records of a file of any format."""
    if format_of(path) == "parquet":
        return _parquet_records(path)
    return read_records(path, progress, encoding=config.csv_encoding)


def _served(engine: DuckDBEngine, config: JoinConfig) -> set[str]:
    """Every candidate that a row of the log names, which only an unusual price list asks for."""
    names: set[str] = set()
    for view in ("logged_requests", "decisions") if config.decisions else ("requests",):
        rows = engine.rows(f"SELECT DISTINCT candidate_served AS name FROM {view}")
        names.update(row["name"] for row in rows)
    return names


def _stage(
    engine: DuckDBEngine, rows: Iterable[Mapping[str, Any]], table: Table, first_row_id: int
) -> tuple[str, int]:
    path = engine.work / f"staged_{table.name}_{first_row_id}.parquet"
    count = stage(rows, table, path, first_row_id=first_row_id)
    names = ", ".join((*table.names, *PROVENANCE.names))
    return f"SELECT {names} FROM {scan(path)}", count


def _hashed(path: Path, fields: Fields) -> bool:
    """Whether a canonical file carries its hashes, so that its text need not be read."""
    names = set(parquet_names(path))
    return all(names & set(fields[column]) for column in ("query_id", "group_id"))


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
    return int(pq.read_metadata(path).num_rows)


def _parquet_records(path: Path) -> Iterator[Record]:
    """Rows of a canonical file whose text is still to be hashed."""
    parquet_names(path)  # says so where the file is none
    line = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_BATCH):
        for values in batch.to_pylist():
            line += 1
            yield Record(line, None, values)


def _add_settings(engine: DuckDBEngine, config: JoinConfig, n_requests: int) -> None:
    """One row of settings, and the label ranges and priorities, as tables."""
    by_time = config.split_by == "time"
    settings: dict[str, tuple[Any, Any]] = {
        "exclude": (list(config.exclude), pa.list_(pa.string())),
        "as_of": (config.as_of or now(), pa.timestamp("us")),
        "client_errors": (list(CLIENT_ERRORS), pa.list_(pa.string())),
        "cost_scale": (COST_SCALES[config.cost_unit], pa.float64()),
        "cost_step": (max(1, n_requests // _COST_ROWS), pa.int64()),
        "placeholders": (list(REDACTED), pa.list_(pa.string())),
        "failure_quality": (config.failure_quality, pa.float64()),
        "max_tokens": (config.max_tokens, pa.int64()),
        "naive_times_are_utc": (config.naive_times_are_utc, pa.bool_()),
        "label_combine": (config.label_combine, pa.string()),
        "label_names": (list(config.label_names), pa.list_(pa.string())),
        "n_label_names": (len(config.label_names), pa.int64()),
        "split_by": (config.split_by, pa.string()),
        "split_salt": (config.split_salt, pa.string()),
        "test_share": (config.test_share, pa.float64()),
        "test_bound": (hash_bound(config.test_share), pa.string()),
        "test_from": (config.test_from if by_time else None, pa.timestamp("us")),
    }
    arrays = {name: pa.array([value], type=kind) for name, (value, kind) in settings.items()}
    engine.add_rows("settings", pa.table(arrays))
    # One more range that no label has: DuckDB plans joins with an empty table badly.
    ranges = {**config.label_ranges, "": (0.0, 1.0)}
    columns = {
        "name": pa.array(ranges, type=pa.string()),
        "worst": pa.array([worst for worst, _ in ranges.values()], type=pa.float64()),
        "best": pa.array([best for _, best in ranges.values()], type=pa.float64()),
    }
    engine.add_rows("label_ranges", pa.table(columns))
    sources = config.label_sources
    ranks = {"source": list(sources), "priority": list(range(len(sources)))}
    engine.add_rows("label_ranks", pa.table(ranks))


def now() -> datetime:
    """The present, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def hash_bound(share: float) -> str:
    """Hex digits below which a share of all hashes lies, comparing their first eight.

    Examples
    --------
    >>> hash_bound(0.25), hash_bound(0.0), hash_bound(1.0)
    ('40000000', '00000000', 'g')
    """
    return "g" if share >= 1.0 else f"{int(share * 2**32):08x}"
