"""Names of tails of a policy's outcomes, such as ``latency_ms_p95``; what configs guard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from router_ml.errors import ConfigError

_NAME: Final = re.compile(
    r"(?P<measure>latency_ms|cost_usd|quality|utility)_(?P<kind>p|worst_)(?P<percent>\d{1,2})"
)
_RATIOS: Final = ("latency_ms", "cost_usd")
REPORTED: Final = (
    "latency_ms_p50",
    "latency_ms_p95",
    "latency_ms_p99",
    "cost_usd_p50",
    "cost_usd_p95",
    "cost_usd_p99",
    "quality_worst_5",
    "utility_worst_5",
)
"""What reports show, where the measure is known."""
MIN_TAIL: Final = 20.0
"""Effective requests beyond a quantile, or in a tail, below which two policies are not compared."""


@dataclass(frozen=True, slots=True)
class Tail:
    """``<measure>_p<percent>``, a quantile, or ``<measure>_worst_<percent>``, a tail mean.

    Parameters
    ----------
    name : as configs and reports have it
    measure : ``latency_ms``, ``cost_usd``, ``quality`` or ``utility``
    mean : whether it is the mean of the worst, and not a quantile
    level : of the quantile, or the worst share, in (0, 1)

    Examples
    --------
    >>> Tail.parse("latency_ms_p95").level, Tail.parse("quality_worst_5").mean
    (0.95, True)
    """

    name: str
    measure: str
    mean: bool
    level: float

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name.

        Raises
        ------
        ConfigError
            If it is none.
        """
        found = _NAME.fullmatch(name)
        percent = 0 if found is None else int(found["percent"])
        if found is None or not percent:
            raise ConfigError(
                "a tail is a measure (latency_ms, cost_usd, quality, utility) and p or worst_ with "
                f"1 to 99 percent, such as latency_ms_p95 or quality_worst_5, got {name!r}"
            )
        return cls(name, found["measure"], found["kind"] != "p", percent / 100.0)

    @property
    def as_ratio(self) -> bool:
        """Whether two policies are compared by a ratio, and not by a difference."""
        return self.measure in _RATIOS


def check_guards(guards: Mapping[str, float]) -> None:
    """ConfigError where a name is no tail or a limit cannot be one."""
    for name, limit in guards.items():
        tail = Tail.parse(name)
        if tail.as_ratio and not limit > 0.0:
            raise ConfigError(f"the limit of {name} is a ratio > 0, such as 1.2, got {limit}")
        if not tail.as_ratio and not limit >= 0.0:
            raise ConfigError(f"the limit of {name} is what may be lost, >= 0, got {limit}")
