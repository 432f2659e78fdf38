"""FrugalGPT: a fixed order of candidates, and how good an answer must be to stop at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from router_ml.cascade.policies.sequential import (
    ACCEPT,
    SequentialPolicy,
    Step,
    best_answer,
    check_state,
)
from router_ml.errors import ConfigError
from router_ml.types.arrays import BoolArray, FloatArray


class CascadePolicy(SequentialPolicy):
    """Ask in order; accept the best answer so far once its estimate reaches the threshold.

    :func:`router_ml.cascade.search.search_cascade` finds one. A candidate that failed is skipped;
    the threshold that counts is that of the number of answers given.

    Parameters
    ----------
    order : candidate positions, first asked first, at least one
    thresholds : one per escalation, ``len(order) - 1`` of them; above 1 always goes on
    gains : quality gained per escalation, on average where it was made; for information

    References
    ----------
    .. [1] Chen, Zaharia, Zou, "FrugalGPT", 2023.

    Examples
    --------
    >>> policy = CascadePolicy(order=(1, 0), thresholds=(0.8,))
    >>> prior = cost = np.full((3, 2), 0.5)
    >>> posterior = np.array([[np.nan, np.nan], [np.nan, 0.7], [np.nan, 0.9]])
    >>> policy.step(prior, cost, posterior).action
    array([ 1,  0, -1])
    """

    name: ClassVar[str] = "cascade"

    def __init__(
        self, *, order: Sequence[int], thresholds: Sequence[float], gains: Sequence[float] = ()
    ) -> None:
        if not order or len(set(order)) != len(order) or len(thresholds) != len(order) - 1:
            raise ConfigError(
                "a cascade needs an order of distinct candidates and one threshold fewer, got "
                f"{list(order)} and {list(thresholds)}"
            )
        self.order = tuple(int(k) for k in order)
        self.thresholds = tuple(float(t) for t in thresholds)
        self.gains = tuple(float(g) for g in gains) or (0.0,) * len(self.thresholds)

    @property
    def max_depth(self) -> int:  # type: ignore[override]
        """Most answers this cascade asks for."""
        return len(self.order)

    def step(
        self,
        prior: FloatArray,
        cost_usd: FloatArray,
        posterior: FloatArray,
        blocked: BoolArray | None = None,
    ) -> Step:
        """Accept, or the next of the order that can be asked."""
        left = check_state(prior, cost_usd, posterior, blocked)[:, self.order]
        answers = (~np.isnan(posterior)).sum(axis=1)
        bars = np.array([0.0, *self.thresholds])[np.minimum(answers, len(self.order) - 1)]
        enough = (answers > 0) & (best_answer(posterior)[1] >= bars)
        go = left.any(axis=1) & ~enough & (answers < len(self.order))
        action = np.where(go, np.array(self.order)[left.argmax(axis=1)], ACCEPT)
        gains = np.array([1.0, *self.gains])[np.minimum(answers, len(self.order) - 1)]
        gains = np.where(answers == 0, prior[np.arange(len(prior)), action], gains)
        cost = cost_usd[np.arange(len(prior)), action]
        return Step(action, np.where(go, gains, 0.0), np.where(go, cost, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments."""
        return {
            "name": self.name,
            "order": list(self.order),
            "thresholds": list(self.thresholds),
            "gains": list(self.gains),
        }
