"""A run's configuration as YAML, every line with what speaks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.inspect.findings import Findings, candidates, has_propensities, look
from pipelines.inspect.labels import Labels
from pipelines.inspect.pairs import Pairs
from pipelines.inspect.prices import Prices
from pipelines.inspect.requests import Columns
from pipelines.inspect.sample import Sample


def draft(files: Sequence[str]) -> str:
    """YAML of ``pipelines.stages.run.RunConfig`` for these files, its evidence as comments.

    Raises
    ------
    ConfigError
        If no file is named, one does not exist, or a URL names several.
    SchemaError
        If a file cannot be read at all.
    """
    found = look(files)
    lines = [
        "# Made by router-ml inspect. Look through it, save it as mapping.yaml, then:",
        "#   router-ml run --config mapping.yaml --runs runs",
        *_files(found),
        "join:",
        *(f"  {line}" for line in _join(found)),
        *_warnings(found),
    ]
    return "\n".join(lines) + "\n"


def _files(found: Findings) -> Iterator[str]:
    yield "requests:"
    yield from (_said(f"- {_text(s.path)}", _written(s, c)) for s, c in found.requests)
    if not found.requests:
        yield "  []  # no file looks like a request log: needs a text, a model and token counts"
    if found.labels or found.pairs:
        yield "labels:"
        for sample, labels in found.labels:
            yield from _label_file(sample, labels)
    for sample, pairs in found.pairs:
        yield from _pair_file(sample, pairs)
    yield "prices:"
    for sample, prices in found.prices:
        rows = f"{len(sample.rows):,} entries"
        told = rows if prices.fields else "a price map, US dollars per token"
        yield _said(f"- {_text(sample.path)}", told)
    if not found.prices:
        yield "  []  # no file looks like a price list: needs a model, an input and an output price"


def _written(sample: Sample, columns: Columns) -> str:
    """Rows, format, separator, encoding, times."""
    rows = f"{len(sample.rows):,} rows" if sample.complete else f"more than {len(sample.rows):,}"
    parts = [rows]
    if sample.kind == "csv":
        sign = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
        parts.append(f"CSV separated by {sign[sample.separator]}")
        parts.append(sample.encoding or "UTF-8")
    elif sample.shape is not None:
        parts.append(f"JSON in the shape of {sample.shape.name}, whose names need no mapping")
    else:
        parts.append(sample.kind)
    if columns.times is not None:
        zone = columns.times.zoneless
        parts.append("times with a zone" if not zone else f"{zone:.0%} of times have no zone")
    return ", ".join(parts)


def _label_file(sample: Sample, labels: Labels) -> Iterator[str]:
    yield _said(f"- files: [{_text(sample.path)}]", f"{len(sample.rows):,} rows")
    yield "  fields:"
    for name, column in labels.fields.items():
        yield _said(f"    {name}: {_text(column)}", labels.evidence.get(name, ""))
    if labels.name:
        yield _said(f"  name: {_text(labels.name)}", "the file names its labels nowhere")
    if labels.source:
        yield _said(
            f"  source: {labels.source}",
            "a guess by names: checker, human, judge or user, the most trusted first",
        )


def _pair_file(sample: Sample, pairs: Pairs) -> Iterator[str]:
    rows = f"{len(sample.rows):,} comparisons of two candidates"
    yield _said(f"- files: [{_text(sample.path)}]", rows)
    yield "  fields:"
    for name, column in pairs.fields.items():
        yield _said(f"    {name}: {_text(column)}", pairs.evidence.get(name, ""))


def _join(found: Findings) -> Iterator[str]:
    tables = [(s, c) for s, c in found.requests if s.shape is None]
    mapped = {name: column for _, c in tables for name, column in c.fields.items()}
    own = {name: column for name, column in mapped.items() if name != column or name == "latency_s"}
    if tables and own:
        yield "request_fields:"
        told = {name: why for _, c in tables for name, why in c.evidence.items()}
        for name, column in own.items():
            yield _said(f"  {name}: {_text(column)}", told.get(name, ""))
    ranges = {
        labels.name or labels.fields.get("value", "value"): labels
        for _, labels in found.labels
        if labels.scale is not None
    }
    if ranges:
        yield "label_ranges:"
        for name, labels in ranges.items():
            worst, best = labels.scale or (0.0, 1.0)
            why = labels.evidence.get("value", "")
            yield _said(f"  {_text(name)}: [{worst:g}, {best:g}]", f"worst and best; {why}")
    words = {w: v for _, labels in found.labels for w, v in labels.values.items()}
    if words:
        yield "label_values:"
        yield from (f"  {_text(word)}: {value:g}" for word, value in words.items())
    statuses = {word: told for _, c in tables for word, told in c.statuses.items()}
    if statuses:
        yield "status_values:"
        yield from (f"  {_text(word)}: {told}" for word, told in sorted(statuses.items()))
    for _, prices in found.prices:
        yield from _prices(prices)
    yield from _reading(found)


def _prices(prices: Prices) -> Iterator[str]:
    own = {name: column for name, column in prices.fields.items() if name != column}
    if own:
        yield "price_fields:"
        yield from (f"  {name}: {_text(column)}" for name, column in own.items())
    if prices.fields:
        yield _said(f"price_unit: {prices.unit}", prices.evidence.get("unit", ""))
    if prices.names:
        yield "price_names:  # the log's name: the price list's"
        for name, listed in prices.names.items():
            yield _said(f"  {_text(name)}: {_text(listed)}", prices.evidence.get(name, ""))


def _reading(found: Findings) -> Iterator[str]:
    """How numbers and times are written, where that must be said."""
    told = [c.times for _, c in found.requests if c.times]
    told += [labels.times for _, labels in found.labels if labels.times]
    formats = {times.time_format for times in told if times.time_format}
    if formats:
        odd = " (day and month could be the other way round)" if any(
            times.ambiguous for times in told
        ) else ""  # fmt: skip
        listed = ", ".join(_text(name) for name in sorted(formats))
        fits = f"fits all times{odd}" if len(formats) == 1 else f"one for each file{odd}"
        yield _said(
            f"time_format: [{listed}]" if len(formats) > 1 else f"time_format: {listed}", fits
        )
    if any(times.zoneless for times in told):
        shares = {times.zoneless for times in told}
        which = "no time says its zone" if shares == {1.0} else "some times do not say their zone"
        yield _said(
            "time_zone: UTC",
            f"{which}: if they are local times, set the zone that they were written in, such as "
            "Europe/Berlin",
        )
    if found.decimal_comma:
        yield _said("decimal_comma: true", "numbers are written 0,5")
    if found.encoding:
        yield _said(f"csv_encoding: {found.encoding}", "some text is not UTF-8")


def _warnings(found: Findings) -> Iterator[str]:
    """What a person has to look at before the run."""
    for sample, columns in found.requests:
        if sample.shape is None and columns.missing:
            yield f"# MISSING in {sample.path}: no column for {', '.join(columns.missing)}"
        yield from (f"# NOT USED: column {said}" for said in columns.left_out)
    for sample in found.unknown:
        yield f"# NOT USED: {sample.path} (columns: {', '.join(sample.columns)})"
    for sample, labels in found.labels:
        if not labels.matched:
            yield f"# CHECK: no id of {sample.path} is an id of the request log"
    for _, prices in found.prices:
        if prices.unpriced:
            yield f"# NO PRICE of {', '.join(prices.unpriced)}: add it to the price list"
    yield from _told_of_costs(found)
    if not any(has_propensities(sample, columns) for sample, columns in found.requests):
        yield "# no propensities are logged: they are estimated, and every report says so"


def _told_of_costs(found: Findings) -> Iterator[str]:
    for name, ratio in found.costs.items():
        yield f"# logged cost of {name} is {ratio:.3g} times tokens times price"
    if not found.costs and found.requests:
        names = ", ".join(candidates(found)[:20])
        yield f"# candidates: {names}; no logged cost to check prices by"


def _said(line: str, why: str) -> str:
    return f"{line}  # {' '.join(why.split())}" if why else line


def _text(value: Any) -> str:
    """A YAML scalar: plain where that reads back as the same text, else in quotes."""
    import yaml

    text = str(value)
    if isinstance(value, Mapping) or "\n" in text:
        return json.dumps(value)
    try:
        plain = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        plain = None
    safe = plain == [text] and not set(text) & set("#,[]{}")
    return text if safe and ": " not in text else json.dumps(text, ensure_ascii=False)
