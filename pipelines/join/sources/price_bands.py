"""Prices that depend on the request: long contexts, service tiers, caches and audio.

A price row has base rates, and ``tiers`` that differ from them. Its bands are what it comes to for
a service tier and a span of input tokens, every rate filled in, so that the join only looks up. The
whole request is charged at the rate of its band, as the providers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipelines.join.sources.values import MAX_BIGINT, UnreadableError, convert, open_json
from router_ml.types.candidates import TOKENS_PER_MTOK

SERVICE_TIERS: Final = ("standard", "batch", "flex", "priority")
RATES: Final = (
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "cache_write_usd_per_mtok",
    "audio_input_usd_per_mtok",
    "audio_output_usd_per_mtok",
)
_FALLBACK: Final = {
    "cached_input_usd_per_mtok": "input_usd_per_mtok",
    "cache_write_usd_per_mtok": "input_usd_per_mtok",
    "audio_input_usd_per_mtok": "input_usd_per_mtok",
    "audio_output_usd_per_mtok": "output_usd_per_mtok",
}
"""What is charged where a price list has no rate of its own."""
_SUFFIX: Final = re.compile(r"(?:_above_(\d+)k_tokens)?(?:_(batch(?:es)?|flex|priority))?")
_BELOW_ALL: Final = -MAX_BIGINT

Tier = dict[str, Any]
_Rates = Mapping[tuple[str, int], Mapping[str, float]]


def map_tiers(entry: Mapping[str, Any], names: Mapping[str, str]) -> list[Tier]:
    """Tiers of an entry of LiteLLM's price map, in US dollars per million tokens.

    Parameters
    ----------
    entry : such as ``{"input_cost_per_token_above_200k_tokens": 2e-6}``, or with
        ``tiered_pricing``, a list of ranges with rates of their own
    names : rate to the key that the map has it under

    Raises
    ------
    UnreadableError
        If a rate is no number.

    Examples
    --------
    >>> map_tiers({"input_cost_per_token_above_200k_tokens": 2e-6, "mode": "chat"},
    ...           {"input_usd_per_mtok": "input_cost_per_token"})
    [{'above_input_tokens': 200000, 'input_usd_per_mtok': 2.0}]
    """
    found: dict[tuple[int, str], Tier] = {}
    for key, value in entry.items():
        for rate, name in names.items():
            rest = key.removeprefix(name)
            match = _SUFFIX.fullmatch(rest) if key.startswith(name) and rest else None
            if match is None or value is None:
                continue
            above = int(match[1] or 0) * 1_000
            service = (match[2] or "").replace("batches", "batch")
            _put(found, above, service, rate, value)
    for part in entry.get("tiered_pricing") or ():
        if isinstance(part, Mapping) and isinstance(part.get("range"), Sequence):
            above = int(convert(part["range"][0], "double") or 0)
            for rate, name in names.items():
                if part.get(name) is not None:
                    _put(found, above, "", rate, part[name])
    return [found[key] for key in sorted(found)]


def _put(
    found: dict[tuple[int, str], Tier], above: int, service: str, rate: str, value: Any
) -> None:
    tier = found.setdefault((above, service), {})
    if above:
        tier["above_input_tokens"] = above
    if service:
        tier["service_tier"] = service
    usd = convert(value, "double")
    tier[rate] = None if usd is None else round(usd * TOKENS_PER_MTOK, 9)


def read_tiers(tiers: Any) -> _Rates:
    """Rates by service tier and the input tokens above which they hold.

    Raises
    ------
    UnreadableError
        If ``tiers`` is not a list of objects with numbers.
    """
    found: dict[tuple[str, int], dict[str, float]] = {}
    items = open_json(tiers)
    if items is None:
        return found
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise UnreadableError("expected a list of objects with above_input_tokens and rates")
    for item in items:
        service = str(item.get("service_tier") or "standard")
        if service not in SERVICE_TIERS:
            raise UnreadableError(
                f"service_tier must be one of {', '.join(SERVICE_TIERS)}, got {service!r}"
            )
        above = convert(item.get("above_input_tokens"), "bigint") or 0
        rates = {rate: convert(item.get(rate), "double") for rate in RATES}
        known = {rate: usd for rate, usd in rates.items() if usd is not None}
        found.setdefault((service, above), {}).update(known)
    return found


def price_bands(row: Mapping[str, Any], price_row: int) -> Iterator[dict[str, Any]]:
    """Bands of one price row, none of a row that is no price."""
    if row.get("problem") or row.get("exclusion"):
        return
    tiers = dict(read_tiers(row.get("tiers")))
    base = {rate: row[rate] for rate in RATES if row.get(rate) is not None}
    tiers["standard", 0] = {**tiers.get(("standard", 0), {}), **base}
    for service in SERVICE_TIERS:
        starts = sorted({above for name, above in tiers if name in ("standard", service)})
        ends = [*starts[1:], MAX_BIGINT]
        for above, up_to in zip(starts, ends, strict=True):
            yield {
                "price_row": price_row,
                "service_tier": service,
                "above_tokens": above if above else _BELOW_ALL,
                "up_to_tokens": up_to,
                **_filled(tiers, service, above),
            }


def _filled(tiers: _Rates, service: str, above: int) -> dict[str, float | None]:
    """Every rate of a band: its service tier's, else the standard one's, else a stand-in."""
    order = sorted({start for _, start in tiers if start <= above}, reverse=True)
    places = [(name, start) for name in (service, "standard") for start in order]
    filled: dict[str, float | None] = {}
    for rate in RATES:
        given = [tiers[place][rate] for place in places if rate in tiers.get(place, {})]
        filled[rate] = given[0] if given else filled.get(_FALLBACK.get(rate, ""))
    return filled
