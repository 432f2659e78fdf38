"""Spend no more than a mean number of dollars a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy, check_trial, one_hot, rank, with_least
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

_BISECTIONS = 80
_GAP = 1e-4
"""Relative distance of the two cost weights: nearer, and rounding decides which side a query is."""


class BudgetPolicy(Policy):
    r"""Maximise predicted quality while mean predicted cost meets ``budget_usd``.

    Mean cost is a falling step function of :math:`\lambda`, so a budget that lies inside a step
    is met by drawing between the two :math:`\lambda` on its sides: ``cost_weight_low``, which
    spends more, with probability ``mix``, else ``cost_weight_high``. Build it by :meth:`solve`.

    Parameters
    ----------
    budget_usd : mean US dollars a request, > 0
    cost_weight_low, cost_weight_high : adjacent :math:`\lambda`, quality per dollar
    mix : probability of ``cost_weight_low``, in [0, 1]
    offsets : candidate to what is added to its predicted quality before candidates are compared;
        ``evaluation.off_policy.direct`` learns them from a log. Others, and by default all, get 0.
    floor : candidate to its share in the mixture of constants that costs the same
    floor_share : how much of the policy is that mixture, in [0, 1]; ``evaluation.floor`` sets both
        where held-out evidence for the router is missing
    trial : candidate to its least probability, while it is explored; by default none

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (1.0, 1.0), "large": (10.0, 10.0)})
    >>> tokens = np.full((2, 2), 500.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9], [0.8, 0.85]]), tokens, tokens, tokens)
    >>> policy = BudgetPolicy.solve(predictions, table, budget_usd=0.0055)
    >>> policy.action_probs(predictions, table).round(6).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    name: ClassVar[str] = "budget"

    def __init__(
        self,
        *,
        budget_usd: float,
        cost_weight_low: float,
        cost_weight_high: float,
        mix: float,
        offsets: Mapping[str, float] | None = None,
        floor: Mapping[str, float] | None = None,
        floor_share: float = 0.0,
        trial: Mapping[str, float] | None = None,
    ) -> None:
        for label, value in (("mix", mix), ("floor_share", floor_share)):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{label} must be in [0, 1], got {value}")
        self.floor = dict(floor or {})
        total = sum(self.floor.values())
        if min(self.floor.values(), default=0.0) < 0.0 or (floor_share and abs(total - 1) > 1e-6):
            raise ConfigError(f"floor must be shares >= 0 that add up to 1, got {self.floor}")
        self.floor_share = floor_share
        self.offsets = dict(offsets or {})
        if not np.all(np.isfinite(list(self.offsets.values()))):
            raise ConfigError(f"offsets must be finite, got {self.offsets}")
        self.budget_usd = budget_usd
        self.cost_weight_low = cost_weight_low
        self.cost_weight_high = cost_weight_high
        self.mix = mix
        self.trial = check_trial(trial)

    @classmethod
    def solve(
        cls,
        predictions: Predictions,
        candidates: CandidateTable,
        *,
        budget_usd: float,
        offsets: Mapping[str, float] | None = None,
        requests: FloatArray | None = None,
    ) -> BudgetPolicy:
        """Find the two adjacent cost weights and their mixture on a sample of predictions.

        Parameters
        ----------
        predictions : arrays of shape (n, K)
        budget_usd, offsets : as for the class
        requests : how often each query is asked, shape (n,), > 0; default: alike

        Raises
        ------
        ConfigError
            If even the cheapest candidate of every query costs more than the budget.
        """
        cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        cheapest = float(np.average(cost_usd.min(axis=1), weights=requests))
        if not budget_usd >= cheapest:
            raise ConfigError(
                f"budget_usd must be at least {cheapest:.6g}, the mean cost of the cheapest "
                f"candidate, got {budget_usd:.6g}; raise the budget or add a cheaper candidate"
            )

        worth = _worth(predictions, candidates, offsets)

        def spend(cost_weight: float) -> float:
            scores = worth - cost_weight * cost_usd
            best = rank(scores, cost_usd, np.ones(cost_usd.shape, dtype=bool))[:, 0]
            return float(np.average(cost_usd[np.arange(len(best)), best], weights=requests))

        if spend(0.0) <= budget_usd:
            return cls(
                budget_usd=budget_usd,
                cost_weight_low=0.0,
                cost_weight_high=0.0,
                mix=1.0,
                offsets=offsets,
            )
        low, high = 0.0, 1.0
        while spend(high) > budget_usd and high < 1e18:
            high *= 4.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if not low < middle < high or high - low <= _GAP * high:
                break
            if spend(middle) > budget_usd:
                low = middle
            else:
                high = middle
        above, below = spend(low), spend(high)
        mix = (budget_usd - below) / (above - below) if above > below else 0.0
        return cls(
            budget_usd=budget_usd,
            cost_weight_low=low,
            cost_weight_high=high,
            mix=float(np.clip(mix, 0.0, 1.0)),
            offsets=offsets,
        )

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Utility at the cost weight that is drawn more often."""
        return _worth(predictions, candidates, self.offsets) - self.weights[0] * cost_usd

    @property
    def weights(self) -> tuple[float, float]:
        """The cost weight that is drawn more often."""
        return (self.cost_weight_low if self.mix >= 0.5 else self.cost_weight_high), 0.0

    @property
    def reason(self) -> str:
        """Why this policy picks what it picks."""
        return f"highest quality at a mean of ${self.budget_usd:.3g} a request"

    def _probabilities(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        probs = np.zeros(cost_usd.shape)
        worth = _worth(predictions, candidates, self.offsets)
        for weight, share in (
            (self.cost_weight_low, self.mix),
            (self.cost_weight_high, 1.0 - self.mix),
        ):
            if share > 0.0:
                choice = rank(worth - weight * cost_usd, cost_usd, allowed)[:, 0]
                probs += share * one_hot(choice, cost_usd.shape)
        if self.floor_share:
            constants = np.array([self.floor.get(name, 0.0) for name in candidates.names])
            fixed = self.floor_share * constants * allowed
            # What a mask takes from the constants goes to the router.
            probs = fixed + (1.0 - fixed.sum(axis=1, keepdims=True)) * probs
        if not self.trial:
            return probs
        return with_least(probs, [self.trial.get(n, 0.0) for n in candidates.names], allowed)


def _worth(
    predictions: Predictions, candidates: CandidateTable, offsets: Mapping[str, float] | None
) -> FloatArray:
    """Predicted quality plus offsets, shape (n_samples, K)."""
    if not offsets:
        return predictions.quality
    worth: FloatArray = predictions.quality + np.array(
        [offsets.get(name, 0.0) for name in candidates.names]
    )
    return worth
