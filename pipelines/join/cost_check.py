"""Logged costs beside tokens times price: a power of ten between them is a mistake of units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.config import JoinConfig
from router_ml.errors import JoinError

POWERS: Final = (1, 2, 3, 6)
"""Powers of ten that units differ by."""
_NEAR: Final = 0.1
"""Distance from a power, in powers of ten, that is still a mistake of units."""
_MAX_SPREAD: Final = 0.5
"""Standard deviation of the logarithm above which the ratios have no one factor."""
_MIN_REQUESTS: Final = 3
_PROBABLY: Final[Mapping[int, str]] = {
    6: "prices are per token and were read as per million (price_unit: token), or costs are in "
    "millionths of a dollar (cost_unit: micros)",
    3: "prices are per 1,000 tokens and were read as per million (price_unit: ktok)",
    2: "costs are in cents (cost_unit: cents)",
    1: "a price is a tenth of what it should be, or a cost ten times",
    -1: "a price is ten times what it should be, or a cost a tenth",
    -2: "prices are in cents: divide them by 100",
    -3: "prices are per million tokens and were read as per 1,000 (price_unit: mtok)",
    -6: "prices are per million tokens and were read as per token (price_unit: mtok)",
}


def power_off(ratio: float, spread: float, requests: int) -> int:
    """Power of ten that logged costs are off by; 0 where they are not.

    Examples
    --------
    >>> power_off(1_000.0, 0.01, 50), power_off(1.3, 0.2, 50), power_off(98.0, 0.0, 50)
    (3, 0, 2)
    """
    if requests < _MIN_REQUESTS or spread > _MAX_SPREAD or not ratio > 0.0:
        return 0
    place = math.log10(ratio)
    for power in POWERS:
        if abs(abs(place) - power) < _NEAR:
            return power if place > 0 else -power
    return 0


def check_costs(ratios: Sequence[Mapping[str, Any]], config: JoinConfig) -> None:
    """Stop a join whose costs and prices are in different units.

    Parameters
    ----------
    ratios : by candidate: ``ratio`` (geometric mean of logged cost over tokens times price),
        ``spread`` of its logarithm, ``requests``

    Raises
    ------
    JoinError
        If a candidate is off by a power of ten, unless ``check_costs`` is ``report``.
    """
    off: dict[int, list[str]] = {}
    for row in ratios:
        power = power_off(row["ratio"], row["spread"] or 0.0, row["requests"])
        if power:
            off.setdefault(power, []).append(
                f"{row['candidate']} ({row['ratio']:,.3g} times, {row['requests']:,} requests)"
            )
    if not off or config.check_costs == "report":
        return
    said = "; ".join(
        f"{', '.join(names)}: probably {_PROBABLY[power]}" for power, names in sorted(off.items())
    )
    raise JoinError(
        "logged costs do not fit tokens times price: logged over priced is a power of ten for "
        f"{said}. Where both are right, set check_costs: report"
    )
