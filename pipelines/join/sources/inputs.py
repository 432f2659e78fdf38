"""Make the join's inputs known to an engine: staged in Python where text must be read."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pyarrow as pa

from pipelines.config import JoinConfig, LabelFile
from pipelines.join.engine import Engine, Part
from pipelines.join.sources import decisions as decision_source
from pipelines.join.sources.files import Progress, expand, format_of, read_records
from pipelines.join.sources.placeholders import REDACTED
from pipelines.join.sources.preferences import holds_pairs
from pipelines.join.sources.price_bands import price_bands
from pipelines.join.sources.prices import check_windows, is_one_sided, price_rows
from pipelines.join.sources.staging import Staging, arrow_schema
from pipelines.join.sources.tasks import (
    columns_of,
    label_files,
    label_part,
    reading_of,
    request_files,
    request_part,
    staged_part,
)
from router_ml.data.schemas import BANDS, DECISIONS, FEEDBACK, LABELS, PRICES, REQUESTS
from router_ml.errors import SchemaError
from router_ml.types.failures import CLIENT_ERRORS

COST_SCALES: Final = {"usd": 1.0, "cents": 0.01, "micros": 1e-6}
REACHES: Final = ("1 minute", "10 minutes", "1 hour", "3 hours", "12 hours", "1 day", "2 days",
                  "4 days", "7 days", "14 days", "30 days", "60 days")  # fmt: skip
"""Delays that labels are told by, as ``label_ages`` in the SQL has them."""
_COST_ROWS: Final = 100_000
"""Requests that costs are checked on, about."""
_AFTER_FILES: Final = 2**60
"""``row_id`` of a decision log's first rows, which follow those of every other file."""


def add_inputs(
    engine: Engine, config: JoinConfig, progress: Progress | None = None
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
        rows_in |= _add_decisions(engine, config, progress)
    rows_in["prices"] = _add_prices(engine, config)
    return rows_in


def _add_decisions(engine: Engine, config: JoinConfig, progress: Progress | None) -> dict[str, int]:
    """Both kinds of rows, numbered on from the requests and labels that they are put beside."""
    files = decision_source.log_files(config.decisions)
    paths = {
        "decisions": engine.work / "staged_decisions.parquet",
        "feedback": engine.work / "staged_feedback.parquet",
    }
    with (
        Staging(DECISIONS, paths["decisions"], first_row_id=_AFTER_FILES) as decisions,
        Staging(FEEDBACK, paths["feedback"], first_row_id=_AFTER_FILES) as feedback,
    ):
        staging = {"decisions": decisions, "feedback": feedback}
        for path in files:
            if format_of(path) == "parquet":
                staging[decision_source.staged_kind(path)].copy(path)
                continue
            for kind, row in decision_source.log_rows(read_records(path, progress), path):
                staging[kind].add(row)
    for name, part in staging.items():
        columns = columns_of(part.table)
        engine.add_parts(name, [Part(part.written, columns, staged=paths[name])])
    return {name: part.written for name, part in staging.items()}


def _add_requests(engine: Engine, config: JoinConfig, progress: Progress | None) -> int:
    paths = expand(config.requests, "requests")
    read = partial(request_part, config=config)
    parts = engine.read(read, request_files(paths, config, engine.most_files), progress)
    if not parts:
        parts = [staged_part(engine.work, [], REQUESTS)]
    engine.add_parts("logged_requests" if config.decisions else "requests", parts)
    total = sum(part.rows for part in parts)
    if total == 0 and not config.decisions:
        raise SchemaError(f"requests: no row in {', '.join(config.requests)}; export the log again")
    return total


def _add_labels(engine: Engine, config: JoinConfig, progress: Progress | None) -> int:
    items = [item if isinstance(item, LabelFile) else LabelFile(files=(item,))
             for item in config.labels]  # fmt: skip
    found = [
        (path, item)
        for item in items
        for path in expand(item.files, "labels")
        # comparisons are no labels of one request
        if not holds_pairs(path, item.fields, config.csv_encoding)
    ]
    tasks = label_files(found, config, engine.most_files)
    read = partial(label_part, config=config)
    parts = engine.read(read, tasks, progress)
    total = sum(part.rows for part in parts)
    if parts and total == 0:
        named = ", ".join(pattern for item in items for pattern in item.files)
        raise SchemaError(f"labels: no row in {named}; leave labels out, or export them again")
    if not parts:
        parts = [staged_part(engine.work, [], LABELS)]
    engine.add_parts("label_files" if config.decisions else "labels", parts)
    return total


def _add_prices(engine: Engine, config: JoinConfig) -> int:
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
    part = staged_part(engine.work, rows, PRICES)
    engine.add_parts("prices", [part])
    bands = [band for i, row in enumerate(rows) for band in price_bands(row, i)]
    engine.add_rows("price_bands", pa.Table.from_pylist(bands, schema=arrow_schema(BANDS)))
    return part.rows


def _served(engine: Engine, config: JoinConfig) -> set[str]:
    """Every candidate that a row of the log names, which only an unusual price list asks for."""
    names: set[str] = set()
    for view in ("logged_requests", "decisions") if config.decisions else ("requests",):
        rows = engine.rows(f"SELECT DISTINCT candidate_served AS name FROM {view}")
        names.update(row["name"] for row in rows)
    return names


def _add_settings(engine: Engine, config: JoinConfig, n_requests: int) -> None:
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
        "label_settled": (config.label_settled, pa.float64()),
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
    reaches = {"place": list(range(len(REACHES))), "reach": list(REACHES)}
    engine.add_rows("delay_reaches", pa.table(reaches))
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
