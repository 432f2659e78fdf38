"""Whether what was billed is what the price list says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

from router_ml.types.candidates import TOKENS_PER_MTOK, CandidateTable

TOLERANCE: Final = 0.02
"""Relative difference that rounding and unlogged fees may make."""
_LEARNED: Final = 20
"""Bills from which a price is learned where no list is given."""


class PriceCheck:
    """Compares bills with tokens times price.

    Parameters
    ----------
    candidates : with the prices in force; ``None`` = prices are learned from the first bills

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (1.0, 2.0)})
    >>> check = PriceCheck(table)
    >>> check.differs("small", 100.0, 50.0, 0.0002), check.differs("small", 100.0, 50.0, 0.0004)
    (False, True)
    """

    def __init__(self, candidates: CandidateTable | None = None) -> None:
        self.prices: dict[str, tuple[float, float]] = {}
        self._bills: dict[str, list[list[float]]] = {}
        if candidates is not None:
            columns = (candidates.input_usd_per_mtok, candidates.output_usd_per_mtok)
            rows = zip(candidates.names, *(column.tolist() for column in columns), strict=True)
            self.prices = {name: (a, b) for name, a, b in rows}

    def differs(
        self, candidate: str, input_tokens: float, output_tokens: float, cost_usd: float
    ) -> bool | None:
        """Whether a bill is not as expected; ``None`` while no price is known."""
        price = self.prices.get(candidate)
        if price is None:
            self._learn(candidate, [input_tokens, output_tokens, cost_usd])
            return None
        expected = (input_tokens * price[0] + output_tokens * price[1]) / TOKENS_PER_MTOK
        return bool(abs(cost_usd - expected) > TOLERANCE * max(expected, 1e-9))

    def _learn(self, candidate: str, bill: list[float]) -> None:
        bills = self._bills.setdefault(candidate, [])
        bills.append(bill)
        if len(bills) < _LEARNED:
            return
        known = np.array(self._bills.pop(candidate))
        # Of equal relative error: a dear bill is not worth more than a cheap one.
        scale = 1.0 / np.maximum(known[:, 2], 1e-12)
        price, _ = nnls(known[:, :2] * scale[:, None], known[:, 2] * scale)
        self.prices[candidate] = (
            float(price[0]) * TOKENS_PER_MTOK,
            float(price[1]) * TOKENS_PER_MTOK,
        )

    def state(self) -> dict[str, Any]:
        """JSON-able; :meth:`load` takes it back."""
        return {"prices": self.prices, "bills": self._bills}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another was; prices that were given hold."""
        self.prices = {name: (a, b) for name, (a, b) in state["prices"].items()} | self.prices
        self._bills = {
            name: bills for name, bills in state["bills"].items() if name not in self.prices
        }
