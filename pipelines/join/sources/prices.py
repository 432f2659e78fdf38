"""Price lists -> canonical prices: LiteLLM's price map, or a table with validity windows."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any, Final

import orjson

from pipelines.join.sources.fields import Fields
from pipelines.join.sources.files import csv_header, format_of, read_records
from pipelines.join.sources.parquet import parquet_names
from pipelines.join.sources.places import open_parquet
from pipelines.join.sources.price_bands import map_tiers, read_tiers
from pipelines.join.sources.records import Record
from pipelines.join.sources.values import (
    PLAIN,
    Reading,
    UnreadableError,
    convert,
    find,
    to_json,
    to_time,
)
from router_ml.data.schemas import PRICES
from router_ml.errors import ConfigError, SchemaError
from router_ml.types.candidates import TOKENS_PER_MTOK

_UNITS: Final = {"ktok": 1e3, "token": 1e6}
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
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_pdf_input": "documents",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
}
_MAP_LABELS: Final = {"supported_regions": "region", "data_retention": "retention"}
"""Keys whose value is a label or a list of labels."""


def price_rows(
    path: Path,
    fields: Fields | None = None,
    *,
    unit: str = "mtok",
    names: Mapping[str, str] | None = None,
    reading: Reading = PLAIN,
    encoding: str = "",
) -> Iterator[dict[str, Any]]:
    """Canonical rows with provenance of one price list.

    Parameters
    ----------
    fields : column of a table -> its names there
    unit : tokens that a table's prices are for: ``mtok``, ``ktok`` or ``token``
    names : candidate, as the log names it -> its name in the list; a price that several candidates
        have is a row for each
    """
    rows = _rows(path, with_overrides(fields or {}), unit, reading, encoding)
    called: dict[str, list[str]] = {}
    for candidate, listed in (names or {}).items():
        called.setdefault(listed, []).append(candidate)
    for row in rows:
        own = called.get(str(row.get("candidate")))
        if own is None:
            yield row
        else:
            yield from ({**row, "candidate": candidate} for candidate in own)


def with_overrides(overrides: Fields) -> Fields:
    """Names of every column; ConfigError on a column that prices do not have."""
    if unknown := sorted(set(overrides) - set(PRICES.names)):
        raise ConfigError(
            f"price_fields has no field {', '.join(unknown)}; there are {', '.join(PRICES.names)}"
        )
    return {**{name: (name,) for name in PRICES.names}, **overrides}


def _rows(
    path: Path, fields: Fields, unit: str, reading: Reading, encoding: str
) -> Iterator[dict[str, Any]]:
    kind = format_of(path)
    if kind in ("json", "jsonl") and (entries := _price_map_of(path)) is not None:
        yield from _price_map(path, entries)
        return
    if kind == "parquet":
        present: Sequence[str] = parquet_names(path)
        records: Iterable[tuple[int, Mapping[str, Any] | None, str | None]] = (
            (line, row, to_json(row) or "")
            for line, row in enumerate(open_parquet(path).read().to_pylist(), start=1)
        )
    else:
        listed = list(priced(read_records(path, encoding=encoding)))
        records = ((r.line, r.values, r.text) for r in listed)
        present = tuple(dict.fromkeys(key for r in listed for key in r.values or ()))
        present = csv_header(path, encoding=encoding) if kind == "csv" else present
    present = (*present, *(path for path in chain(*fields.values()) if _leads(path, present)))
    found = [name for name in PRICES.names if set(fields[name]) & set(present)]
    PRICES.require(found, f"{path} (columns: {', '.join(present)})")
    for line, values, raw in records:
        yield _priced_row(path, line, values, raw, fields, unit, reading)


def priced(records: Iterable[Record]) -> Iterator[Record]:
    """Entries of a price list in JSON: rows, rows under a name, or prices by candidate.

    Examples
    --------
    >>> [record] = priced([Record(1, None, {"small": {"in": 1.0, "out": 4.0}})])
    >>> record.values
    {'candidate': 'small', 'in': 1.0, 'out': 4.0}
    """
    for record in records:
        lists = [v for v in (record.values or {}).values() if isinstance(v, list) and v]
        entries = record.values or {}
        if len(lists) == 1 and all(isinstance(item, Mapping) for item in lists[0]):
            yield from (Record(record.line, None, item) for item in lists[0])
        elif entries and all(isinstance(entry, Mapping) for entry in entries.values()):
            yield from (
                Record(record.line, None, {"candidate": name, **entry})
                for name, entry in entries.items()
            )
        else:
            yield record


def _leads(path: str, columns: Sequence[str]) -> bool:
    return path.split(".", 1)[0] in columns


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


def _price_map_of(path: Path) -> Mapping[str, Any] | None:
    """The entries of a price map; None of a list of rows.

    Raises
    ------
    SchemaError
        If the file is neither.
    """
    try:
        entries = orjson.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        if format_of(path) == "jsonl":
            return None
        raise SchemaError(f"{path} is not JSON: {error}; export it again") from error
    if isinstance(entries, dict) and all(not isinstance(v, list) for v in entries.values()):
        rows = [entry for entry in entries.values() if isinstance(entry, dict)]
        own = rows and not any(key.endswith(("_per_token", "_cost", "mode")) for entry in rows
                               for key in entry)  # fmt: skip
        return None if own else entries
    if isinstance(entries, dict | list) and entries:
        return None
    raise SchemaError(f"{path} must be a price map {{candidate: {{input_cost_per_token, …}}}}")


def _price_map(path: Path, entries: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
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
        "capabilities": _capabilities(entry),
    }


def _capabilities(entry: Mapping[str, Any]) -> list[str]:
    """What the map says that a candidate can do, and labels of where and how it keeps data."""
    found = {name for key, name in _MAP_CAPABILITIES.items() if entry.get(key) is True}
    for key, kind in _MAP_LABELS.items():
        value = entry.get(key)
        labels = [value] if isinstance(value, str) else value
        if isinstance(labels, list):
            found.update(f"{kind}:{label}" for label in labels if isinstance(label, str) and label)
    return sorted(found)


def _limit(value: Any) -> int | None:
    """Tokens, or None where the map holds a remark instead."""
    try:
        limit: int | None = convert(value, "bigint")
    except UnreadableError:
        return None
    return limit


def _priced_row(
    path: Path,
    line: int,
    values: Mapping[str, Any] | None,
    raw: str | None,
    fields: Fields,
    unit: str,
    reading: Reading,
) -> dict[str, Any]:
    row: dict[str, Any] = {"source_file": str(path), "source_line": line}
    if values is None:
        return row | {"problem": "malformed_line", "raw": raw}
    for column in PRICES.columns:
        value = find(values, fields[column.name])
        usd = column.name.endswith("_usd_per_mtok")
        if usd and isinstance(value, str):
            value = value.replace("$", "").replace("USD", "").strip()
        try:
            if column.type == "timestamp":
                row[column.name] = to_time(value, reading)[0]
            else:
                row[column.name] = convert(value, column.type, reading)
        except UnreadableError as error:
            row |= {"problem": f"unreadable_{column.name}", "detail": str(error), "raw": raw}
            continue
        if usd and unit != "mtok" and row[column.name] is not None:
            row[column.name] = round(row[column.name] * _UNITS[unit], 9)
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
