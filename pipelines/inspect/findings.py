"""Which file is what, and what a run needs to know of it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.inspect.kinds import has_decimal_comma, numbers
from pipelines.inspect.labels import Labels, label_columns
from pipelines.inspect.pairs import Pairs, pair_columns
from pipelines.inspect.prices import (
    LONGEST_LIST,
    Prices,
    match_names,
    price_columns,
    unit_by_costs,
)
from pipelines.inspect.requests import Columns, request_columns
from pipelines.inspect.sample import Sample, paths_in, read_sample
from pipelines.join.sources.prices import price_rows, priced
from pipelines.join.sources.records import Record
from pipelines.join.sources.values import Reading, find
from router_ml.errors import ConfigError, SchemaError


@dataclass(slots=True)
class Findings:
    """What the files are.

    Parameters
    ----------
    requests, labels, pairs, prices : samples by role, with what was recognised
    unknown : files of no role that could be told
    costs : candidate to its logged cost over tokens times price, where both are known
    """

    requests: list[tuple[Sample, Columns]] = field(default_factory=list)
    labels: list[tuple[Sample, Labels]] = field(default_factory=list)
    pairs: list[tuple[Sample, Pairs]] = field(default_factory=list)
    prices: list[tuple[Sample, Prices]] = field(default_factory=list)
    unknown: list[Sample] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    decimal_comma: bool = False
    encoding: str = ""


def look(files: Sequence[str]) -> Findings:
    """Look at files in any order.

    Raises
    ------
    ConfigError
        If no file is named, one does not exist, or a URL names several.
    SchemaError
        If a file cannot be read at all.
    """
    if not files:
        raise ConfigError("name the files to look at: router-ml inspect export.csv labels.csv ...")
    found = Findings()
    samples = [read_sample(name) for name in files]
    found.encoding = next((sample.encoding for sample in samples if sample.encoding), "")
    found.decimal_comma = any(
        has_decimal_comma(sample.values(column))
        for sample in samples
        if sample.kind == "csv"
        for column in sample.columns
    )
    rest = []
    samples = [_as_price_list(sample) for sample in samples]
    listed = [name for sample in samples if _is_price_list(sample) for name in _listed(sample)]
    for sample in samples:
        columns = Columns() if sample.shape else request_columns(
            sample, decimal_comma=found.decimal_comma, listed=listed
        )  # fmt: skip
        if _is_price_list(sample):
            found.prices.append((sample, Prices() if _is_map(sample) else price_columns(sample)))
        elif sample.shape is not None or (
            "candidate_served" in columns.fields and {"query", "messages"} & set(columns.fields)
        ):
            found.requests.append((sample, columns))
        else:
            rest.append(sample)
    _leave_out_copies(found)
    ids = {str(value) for sample, columns in found.requests for value in _ids(sample, columns)}
    for sample in rest:
        if (pairs := pair_columns(sample, ids)) is not None:
            found.pairs.append((sample, pairs))
            continue
        labels = label_columns(sample, ids)
        counted = {"n_trials", "n_success"} <= set(labels.fields)
        if "request_id" in labels.fields and ("value" in labels.fields or counted):
            found.labels.append((sample, labels))
        else:
            found.unknown.append(sample)
    _compare_prices(found)
    return found


def _leave_out_copies(found: Findings) -> None:
    """Of two exports of the same requests keep the one that tells more."""
    order = sorted(found.requests, key=lambda item: (item[0].shape is None, -len(item[1].fields)))
    kept: list[tuple[Sample, Columns]] = []
    seen: set[str] = set()
    for sample, columns in order:
        ids = {str(value) for value in _ids(sample, columns)}
        if ids and len(ids & seen) > 0.5 * len(ids):
            found.unknown.append(sample)
            continue
        kept.append((sample, columns))
        seen |= ids
    found.requests = kept


def paths(sample: Sample, columns: Columns, name: str) -> tuple[str, ...]:
    """Where a field of the request log is kept."""
    if sample.shape is not None:
        return sample.shape.all_fields.get(name, ())
    return (columns.fields[name],) if name in columns.fields else ()


def _values(sample: Sample, columns: Columns, name: str) -> list[Any]:
    where = paths(sample, columns, name)
    return [find(row, where) for row in sample.rows]


def _ids(sample: Sample, columns: Columns) -> list[Any]:
    return [value for value in _values(sample, columns, "request_id") if value is not None]


def has_propensities(sample: Sample, columns: Columns) -> bool:
    """Whether any request of a log has its propensity logged."""
    return any(value is not None for value in _values(sample, columns, "propensity"))


def candidates(found: Findings) -> list[str]:
    """Names of those that served, most frequent first."""
    counts: dict[str, int] = {}
    for sample, columns in found.requests:
        for name in _values(sample, columns, "candidate_served"):
            if name is not None:
                counts[str(name)] = counts.get(str(name), 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _is_map(sample: Sample) -> bool:
    """Whether a JSON file is LiteLLM's price map."""
    if sample.kind != "json" or len(sample.rows) != 1:
        return False
    entries = [value for value in sample.rows[0].values() if isinstance(value, Mapping)]
    return any("input_cost_per_token" in e or "output_cost_per_token" in e for e in entries)


def _as_price_list(sample: Sample) -> Sample:
    """Entries as rows, where a JSON file is a price list of a form of its own."""
    if sample.kind != "json" or sample.shape or len(sample.rows) != 1 or _is_map(sample):
        return sample
    entries = list(priced([Record(1, None, row) for row in sample.rows]))
    rows = [record.values for record in entries if record.values is not None]
    columns = paths_in(tuple(dict.fromkeys(key for row in rows for key in row)), rows)
    listed = replace(sample, rows=rows, columns=columns)
    return listed if _is_price_list(listed) else sample


def _listed(sample: Sample) -> list[str]:
    """Names that a price list has."""
    if _is_map(sample):
        return [str(name) for name in sample.rows[0]]
    return [str(name) for name in sample.values(price_columns(sample).fields["candidate"])]


def _is_price_list(sample: Sample) -> bool:
    if _is_map(sample):
        return True
    wanted = {"candidate", "input_usd_per_mtok", "output_usd_per_mtok"}
    if len(sample.rows) > LONGEST_LIST or sample.shape is not None:
        return False
    if not wanted <= set(price_columns(sample).fields):
        return False
    names = sample.values(price_columns(sample).fields["candidate"])
    return len(set(names)) > 0.5 * len(names)


def _compare_prices(found: Findings) -> None:
    """Names of the log in the list, and logged costs beside tokens times price."""
    served = candidates(found)
    for sample, prices in found.prices:
        rates = _rates(sample, prices, found)
        match_names(prices, served, list(rates))
        own = {name: rates.get(prices.names.get(name, name)) for name in served}
        ratios = _cost_ratios(found, {k: v for k, v in own.items() if v is not None})
        other = unit_by_costs(ratios) if prices.fields and prices.unit == "mtok" else None
        if other is not None:
            prices.unit, prices.evidence["unit"] = other
            factor = {"ktok": 1e3, "token": 1e6}[prices.unit]
            ratios = {name: ratio / factor for name, ratio in ratios.items()}
        found.costs |= ratios


def _rates(sample: Sample, prices: Prices, found: Findings) -> dict[str, tuple[float, float]]:
    """Input and output price of every entry, US dollars per million tokens."""
    fields = {name: (column,) for name, column in prices.fields.items()}
    rates: dict[str, tuple[float, float]] = {}
    try:
        rows = price_rows(
            sample.file, fields, unit=prices.unit, encoding=found.encoding,
            reading=Reading(decimal_comma=found.decimal_comma),
        )  # fmt: skip
        for row in rows:
            sides = row.get("input_usd_per_mtok"), row.get("output_usd_per_mtok")
            if row.get("candidate") and sides[0] is not None and sides[1] is not None:
                rates[str(row["candidate"])] = (sides[0], sides[1])
    except SchemaError:
        return rates
    return rates


def _cost_ratios(found: Findings, rates: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Median of logged cost over tokens times price, by candidate."""
    seen: dict[str, list[float]] = {}
    for sample, columns in found.requests:
        parts = [
            _values(sample, columns, name)
            for name in ("candidate_served", "input_tokens", "output_tokens", "cost_usd")
        ]
        for name, *figures in zip(*parts, strict=True):
            read = numbers(figures, decimal_comma=found.decimal_comma)
            if str(name) not in rates or read is None or len(read) < 3:
                continue
            price = rates[str(name)]
            expected = (read[0] * price[0] + read[1] * price[1]) / 1e6
            if expected > 0.0 and read[2] > 0.0:
                seen.setdefault(str(name), []).append(read[2] / expected)
    return {name: statistics.median(ratios) for name, ratios in seen.items()}
