"""What earlier turns of the same request have used up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request has taken before this decision; nothing where none was made before.

    Parameters
    ----------
    asked : positions of candidates that had their turn; none is asked twice
    cost_usd : US dollars, counted towards ``max_cost_usd``
    latency_ms : milliseconds, counted towards ``max_latency_ms``
    """

    asked: tuple[int, ...] = ()
    cost_usd: float = 0.0
    latency_ms: float = 0.0


NOTHING: Final = Spent()
"""Of a request's first decision."""
