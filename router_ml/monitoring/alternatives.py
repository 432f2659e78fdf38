"""What a change may look like: shifts of a stream that its detector bets on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Alternative:
    r"""One kind of change.

    Parameters
    ----------
    shift : of the log-odds of a binary stream, or of the mean of any other, in standard deviations
    kept : share of the ones of a binary stream that are left, in (0, 1]
    ramp : outcomes over which the change grows to its whole size; 0 = it is there at once
    spacing : outcomes between two moments at which it may have begun. Small changes take long to
        show, so a few outcomes more or less do not matter, and fewer moments cost less evidence.
    weight : prior probability among the alternatives of a stream
    """

    shift: float = 0.0
    kept: float = 1.0
    ramp: int = 0
    spacing: int = 10
    weight: float = 1.0


FALLING: Final = (
    Alternative(kept=0.4, spacing=10, weight=0.15),
    Alternative(kept=0.75, spacing=20, weight=0.1),
    Alternative(kept=0.93, spacing=100, weight=0.25),
    Alternative(shift=-0.4, spacing=100, weight=0.25),
    Alternative(shift=-1.0, ramp=1_500, spacing=200, weight=0.15),
    Alternative(shift=0.6, spacing=100, weight=0.1),
)
"""Quality that is right or wrong: mostly that it falls, but also that it rises."""
MOVED: Final = tuple(
    Alternative(shift=sign * size, ramp=ramp, spacing=spacing, weight=weight)
    for size, ramp, spacing, weight in (
        (2.0, 0, 20, 0.3),
        (0.7, 0, 100, 0.45),
        (1.0, 5_000, 500, 0.25),
    )
    for sign in (-1.0, 1.0)
)
"""Shares of traffic that grow or shrink."""
RISING: Final = (
    Alternative(shift=4.0, spacing=10, weight=0.5),
    Alternative(shift=2.0, spacing=20, weight=0.3),
    Alternative(shift=0.8, spacing=100, weight=0.2),
)
"""Rare failures that become frequent."""
SHIFTED: Final = tuple(
    Alternative(shift=sign * size, ramp=ramp, spacing=spacing, weight=weight)
    for size, ramp, spacing, weight in (
        (2.0, 0, 10, 0.2),
        (0.8, 0, 20, 0.3),
        (0.25, 0, 100, 0.35),
        (0.5, 1_500, 200, 0.15),
    )
    for sign in (-1.0, 1.0)
)
"""Amounts and scores: either direction."""
