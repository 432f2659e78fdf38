"""The gate's doubly robust differences: what a log says of two policies, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.hull import hull_mixture
from router_ml.evaluation.off_policy.distribution import WeightedOutcomes
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.log_feedback import feedback, measured_feedback
from router_ml.evaluation.off_policy.tail_guards import logged_outcomes
from router_ml.evaluation.off_policy.today import TODAY, on_policy, today_values
from router_ml.policies.constant import constant_probs
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Rival:
    """What the challenger is shown beside its opponent: today, the best constant, the hull.

    Parameters
    ----------
    name : such as ``today`` or ``constant gpt-4o``
    quality_difference, cost_difference : challenger minus rival, shape (n,)
    cost_usd : mean dollars a request of the rival
    """

    name: str
    quality_difference: FloatArray
    cost_difference: FloatArray
    cost_usd: float


@dataclass(frozen=True, slots=True)
class LoggedSides:
    """Quality and cost of a log, and what is predicted of them, shape (n, K)."""

    quality: LoggedFeedback
    cost_usd: LoggedFeedback
    guess: FloatArray
    guess_cost: FloatArray

    @classmethod
    def of(
        cls,
        table: TrainingTable,
        routers: Sequence[Runtime],
        scores: Sequence[Predictions],
        names: Sequence[str],
    ) -> Self:
        """Of a log's requests, guessed by the routers that are compared.

        Parameters
        ----------
        scores : predictions of each router, arrays of shape (n, K of that router)
        names : the columns
        """
        return cls(*feedback(table, estimate=True), *_guess(routers, scores, names, table))

    def values(self, probs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Row values of quality and cost of one policy, shape (n,) each."""
        return (
            doubly_robust(self.quality, probs, self.guess).influence,
            doubly_robust(self.cost_usd, probs, self.guess_cost).influence,
        )

    def differences(
        self, new: FloatArray, old: FloatArray, *, today: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Row values of quality and cost, new policy minus old."""
        if not today:
            return (
                difference(self.quality, new, old, self.guess),
                difference(self.cost_usd, new, old, self.guess_cost),
            )
        quality, cost = self.values(new)
        return (
            quality - today_values(self.quality, self.guess).influence,
            cost - today_values(self.cost_usd, self.guess_cost).influence,
        )

    def worst(
        self,
        new: FloatArray,
        old: FloatArray,
        lost: LoggedFeedback,
        guess: FloatArray,
        *,
        today: bool,
    ) -> FloatArray:
        """Row values of quality with the worst outcome where the log cannot judge."""
        if not today:
            return difference(lost, new, old, guess)
        value = doubly_robust(lost, new, guess).influence
        return value - today_values(self.quality, self.guess).influence

    def outcomes(
        self, table: TrainingTable, probs: FloatArray, *, cost_weight: float, today: bool = False
    ) -> dict[str, WeightedOutcomes]:
        """What a policy comes to, by measure; latency as the log's ``table`` has it."""
        logs = {"quality": self.quality, "cost_usd": self.cost_usd}
        if np.isfinite(table.latency_ms).any():
            logs["latency_ms"] = measured_feedback(table, table.latency_ms)
        if today:
            logs = {measure: on_policy(log) for measure, log in logs.items()}
        return logged_outcomes(logs, probs, cost_weight=cost_weight)

    def rival(self, name: str, new: FloatArray, old: FloatArray) -> Rival:
        """The new policy beside another."""
        quality, cost = self.differences(new, old, today=name == TODAY)
        value = doubly_robust(self.cost_usd, new, self.guess_cost).value
        return Rival(name, quality, cost, float(value - cost.mean()))

    def hull(self, new: FloatArray, names: Sequence[str]) -> dict[str, FloatArray]:
        """The best mixture of two constants at the cost of the new policy, by this log's values.

        None where the policy costs less than the cheapest constant.
        """
        n, k = new.shape
        constants = [constant_probs(n, k, j) for j in range(k)]
        value = np.array([doubly_robust(self.quality, p, self.guess).value for p in constants])
        cost = np.array([doubly_robust(self.cost_usd, p, self.guess_cost).value for p in constants])
        mixed = hull_mixture(value, cost, doubly_robust(self.cost_usd, new, self.guess_cost).value)
        if mixed is None:
            return {}
        parts = " + ".join(
            f"{share:.0%} {name}" for share, name in zip(mixed, names, strict=True) if share > 0.0
        )
        return {f"hull ({parts})": np.tile(mixed, (n, 1))}


def _guess(
    routers: Sequence[Runtime],
    scores: Sequence[Predictions],
    names: Sequence[str],
    table: TrainingTable,
) -> tuple[FloatArray, FloatArray]:
    """Predicted quality and cost in the columns of ``names``: the first router that knows each.

    A candidate that no router knows, such as a constant opponent, gets the log's plain mean.
    """
    quality = np.tile(_means(table, table.quality), (len(table), 1))
    cost_usd = np.tile(_means(table, table.cost_usd), (len(table), 1))
    for router, score in reversed(list(zip(routers, scores, strict=True))):
        known = router.candidates
        columns = [names.index(name) for name in known.names]
        quality[:, columns] = score.quality
        cost_usd[:, columns] = known.cost_usd(score.input_tokens, score.output_tokens)
    return quality, cost_usd


def _means(table: TrainingTable, values: FloatArray) -> FloatArray:
    """Mean of what each candidate showed, shape (K,); where it showed nothing, of all."""
    seen = np.isfinite(values) & (table.served >= 0)
    k = len(table.candidates)
    count = np.bincount(table.served[seen], minlength=k)
    total = np.bincount(table.served[seen], values[seen], minlength=k)
    overall = float(values[seen].mean()) if seen.any() else 0.0
    means: FloatArray = np.divide(total, count, out=np.full(k, overall), where=count > 0)
    return means


def difference(
    log: LoggedFeedback, new: FloatArray, old: FloatArray, guess: FloatArray
) -> FloatArray:
    """Doubly robust row values, challenger minus champion; both by the same predictions."""
    challenger, champion = doubly_robust(log, new, guess), doubly_robust(log, old, guess)
    difference: FloatArray = challenger.influence - champion.influence
    return difference
