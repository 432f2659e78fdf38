"""A price list's columns, its unit, and its names beside those of the log."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.inspect.kinds import has_decimal_comma, numbers
from pipelines.inspect.names import ROLES, leaf, speaks_for, words
from pipelines.inspect.sample import Sample
from pipelines.join.model_names import looks_like_model, match_price

_UNITS: Final = (
    (
        "mtok",
        re.compile(
            r"(?<![a-z])(1?m(tok(en)?s?)?|mio|million(en|s)?|mill[oó]n(es)?|1e6|1000000|1,000,000)(?![a-z])"
        ),
    ),
    (
        "ktok",
        re.compile(
            r"(?<![a-z])(1?k(tok(en)?s?)?|tsd|tausend|mille|mil|thousand|1000|1,000)(?![a-z])"
        ),
    ),
    ("token", re.compile(r"per[ _-]?token|(?<![a-z])token(?!s)")),
)
_NAMES: Final = frozenset({"name", "id", "slug", "key"})
LONGEST_LIST: Final = 5_000
"""Rows beyond which a table is no price list."""


@dataclass(slots=True)
class Prices:
    """A price list, as far as it was recognised.

    Parameters
    ----------
    fields : canonical column -> column; empty for a price map
    unit : ``mtok``, ``ktok`` or ``token``
    evidence : field -> why
    names : candidate of the log -> name in the list, where they differ
    unpriced : candidates of the log without a price
    """

    fields: dict[str, str] = field(default_factory=dict)
    unit: str = "mtok"
    evidence: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unpriced: list[str] = field(default_factory=list)


def price_columns(sample: Sample) -> Prices:
    """Recognise a table of prices."""
    found = Prices()
    names: list[str] = []
    for column in sample.columns:
        values = sample.values(column)
        texts = [value for value in values if isinstance(value, str)]
        is_name = texts and _figures(values) is None
        if is_name and (speaks_for(column, "candidate") or any(map(looks_like_model, texts))):
            found.fields.setdefault("candidate", column)
            continue
        listed = len(set(texts)) == len(sample.rows)
        if is_name and listed and words(leaf(column)) & _NAMES:
            names.append(column)
            continue
        if _figures(values) is None:
            continue
        said = words(leaf(column))
        if said & ROLES["cached"]:
            name = "cache_write_usd_per_mtok" if "write" in said else "cached_input_usd_per_mtok"
            found.fields.setdefault(name, column)
        elif said & ROLES["output"]:
            found.fields.setdefault("output_usd_per_mtok", column)
        elif said & ROLES["input"]:
            found.fields.setdefault("input_usd_per_mtok", column)
    if names:
        found.fields.setdefault("candidate", names[0])
    found.unit, found.evidence["unit"] = _unit(found, sample)
    return found


def _figures(values: Sequence[Any]) -> list[float] | None:
    return numbers(values, decimal_comma=has_decimal_comma(values))


def _unit(found: Prices, sample: Sample) -> tuple[str, str]:
    """Tokens that a price is for: as a header says, else by size."""
    for column in (found.fields.get("input_usd_per_mtok"), found.fields.get("output_usd_per_mtok")):
        text = (column or "").lower().replace("_", " ")
        for unit, pattern in _UNITS:
            if pattern.search(text):
                return unit, f"the header says {column!r}"
    for column in sample.columns:
        told = {str(value).lower() for value in sample.values(column)}
        if len(told) == 1 and ("per" in (words(text := told.pop())) or "/" in text):
            for unit, pattern in _UNITS:
                if pattern.search(text):
                    return unit, f"{column} says {text!r}"
    values = _figures(sample.values(found.fields.get("output_usd_per_mtok", ""))) or [1.0]
    middle = statistics.median(values)
    unit = "mtok" if middle >= 0.05 else "ktok" if middle >= 5e-5 else "token"
    return unit, f"by their size: {middle:g} for output at the median"


def match_names(found: Prices, candidates: Sequence[str], listed: Sequence[str]) -> None:
    """Find every candidate of the log in the list."""
    for candidate in candidates:
        entry, how = match_price(candidate, listed)
        if entry is None:
            found.unpriced.append(candidate)
        elif entry != candidate:
            found.names[candidate] = entry
            found.evidence[candidate] = f"differs {how}"


def unit_by_costs(
    ratios: Mapping[str, float],
) -> tuple[str, str] | None:
    """Another unit, where logged costs say that prices are for 1,000 tokens or one.

    Parameters
    ----------
    ratios : candidate to its logged cost over tokens times price, at a million tokens
    """
    if not ratios:
        return None
    middle = statistics.median(ratios.values())
    for unit, factor in (("ktok", 1e3), ("token", 1e6)):
        if 0.5 < middle / factor < 2.0:
            return unit, f"logged costs are {middle:,.0f} times tokens times price at a million"
    return None
