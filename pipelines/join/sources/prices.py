"""Price lists -> canonical prices: LiteLLM's price map, or a table with validity windows."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow.parquet as pq

from pipelines.join.sources.files import csv_header, format_of, read_records
from pipelines.join.sources.parquet import parquet_names
from pipelines.join.sources.price_bands import map_tiers, read_tiers
from pipelines.join.sources.values import UnreadableError, convert, to_json, to_time
from router_ml.data.schemas import PRICES
from router_ml.errors import SchemaError
from router_ml.types.candidates import TOKENS_PER_MTOK

_FROM_EVER, _FOR_EVER = datetime.min, datetime.max
_MAP_USD: Final = {
    "input_usd_per_mtok": "input_cost_per_token",
    "output_usd_per_mtok": "output_cost_per_token",
    "cached_input_usd_per_mtok": "cache_read_input_token_cost",
}
_MAP_EXTRA_USD: Final = {
    "cache_write_usd_per_mtok": "cache_creation_input_token_cost",
    "audio_input_usd_per_mtok": "input_cost_per_audio_token",
    "audio_output_usd_per_mtok": "output_cost_per_audio_token",
}
_MAP_CAPABILITIES: Final = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
}


def price_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Canonical rows with provenance of one price list."""
    kind = format_of(path)
    if kind == "json":
        yield from _price_map(path)
        return
    if kind == "parquet":
        present: Sequence[str] = parquet_names(path)
        records: Iterable[tuple[int, Mapping[str, Any] | None, str | None]] = (
            (line, row, to_json(row) or "")
            for line, row in enumerate(pq.read_table(path).to_pylist(), start=1)
        )
    else:
        records = ((r.line, r.values, r.text) for r in read_records(path))
        present = csv_header(path) if kind == "csv" else PRICES.names
    PRICES.require(present, str(path))
    for line, values, raw in records:
        yield _priced_row(path, line, values, raw)


def is_one_sided(row: Mapping[str, Any]) -> bool:
    """Whether a row has a price for input or for output, but not for both."""
    sides = (row.get("input_usd_per_mtok"), row.get("output_usd_per_mtok"))
    return not row.get("problem") and not row.get("exclusion") and sides.count(None) == 1


def check_windows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise SchemaError where two different prices of a candidate hold at the same time."""
    good = [row for row in rows if not row.get("problem") and not row.get("exclusion")]
    good.sort(key=lambda row: (str(row["candidate"]), *_window(row)))
    for candidate, windows in groupby(good, key=lambda row: row["candidate"]):
        for first, second in pairwise(windows):
            same = all(first.get(name) == second.get(name) for name in PRICES.names)
            if not same and _window(second)[0] < _window(first)[1]:
                raise SchemaError(
                    f"prices: windows of {candidate} overlap: {_place(first)} and "
                    f"{_place(second)}; end the first where the second begins"
                )


def _price_map(path: Path) -> Iterator[dict[str, Any]]:
    try:
        entries = orjson.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise SchemaError(f"{path} is not JSON: {error}; export it again") from error
    if not isinstance(entries, dict):
        raise SchemaError(f"{path} must be a price map {{candidate: {{input_cost_per_token, …}}}}")
    for line, (candidate, entry) in enumerate(entries.items(), start=1):
        row: dict[str, Any] = {"source_file": str(path), "source_line": line}
        row["candidate"] = candidate
        if not isinstance(entry, Mapping):
            yield row | {"problem": "malformed_price", "raw": to_json({candidate: entry})}
            continue
        if entry.get("input_cost_per_token") is None and entry.get("output_cost_per_token") is None:
            yield row | {"exclusion": "not_priced_by_token"}  # images, speech, rerankers
            continue
        try:
            row |= _map_entry(entry)
        except UnreadableError as error:
            row |= {"problem": "unreadable_price", "detail": str(error)}
            row["raw"] = to_json({candidate: entry})
        yield row


def _map_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical columns of one entry of LiteLLM's price map."""
    usd = {}
    for column, key in {**_MAP_USD, **_MAP_EXTRA_USD}.items():
        value = convert(entry.get(key), "double")
        usd[column] = None if value is None else round(value * TOKENS_PER_MTOK, 9)
    tiers = map_tiers(entry, {**_MAP_USD, **_MAP_EXTRA_USD})
    return usd | {
        "tiers": to_json(tiers) if tiers else None,
        "provider": convert(entry.get("litellm_provider"), "string"),
        "context_window": _limit(entry.get("max_input_tokens") or entry.get("max_tokens")),
        "max_output_tokens": _limit(entry.get("max_output_tokens")),
        "capabilities": sorted(c for key, c in _MAP_CAPABILITIES.items() if entry.get(key) is True),
    }


def _limit(value: Any) -> int | None:
    """Tokens, or None where the map holds a remark instead."""
    try:
        limit: int | None = convert(value, "bigint")
    except UnreadableError:
        return None
    return limit


def _priced_row(
    path: Path, line: int, values: Mapping[str, Any] | None, raw: str | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"source_file": str(path), "source_line": line}
    if values is None:
        return row | {"problem": "malformed_line", "raw": raw}
    for column in PRICES.columns:
        try:
            value = values.get(column.name)
            is_time = column.type == "timestamp"
            row[column.name] = to_time(value)[0] if is_time else convert(value, column.type)
        except UnreadableError as error:
            row |= {"problem": f"unreadable_{column.name}", "detail": str(error), "raw": raw}
    try:
        read_tiers(row.get("tiers"))
    except UnreadableError as error:
        row |= {"problem": "unreadable_tiers", "detail": str(error), "raw": raw}
    return row


def _window(row: Mapping[str, Any]) -> tuple[datetime, datetime]:
    return row.get("valid_from") or _FROM_EVER, row.get("valid_to") or _FOR_EVER


def _place(row: Mapping[str, Any]) -> str:
    begin, end = row.get("valid_from") or "ever", row.get("valid_to") or "now on"
    return f"{row['source_file']}:{row['source_line']} ({begin} to {end})"
