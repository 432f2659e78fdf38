"""What a method decides at every budget, solved on training rows and played on test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from router_ml.data.full_information import FullInformation
from router_ml.data.groups import group_folds
from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import out_of_fold
from router_ml.estimators.router import Outcomes
from router_ml.evaluation.hull import HULL_SHARES, Gain, Hull, hull_gain
from router_ml.evaluation.intervals import bootstrap_mean, simultaneous_means
from router_ml.evaluation.metrics import Metrics
from router_ml.learning.budgets import solve_budgets
from router_ml.learning.held_out import fit_router, held_out_predictions
from router_ml.learning.targets import Evidence, evidence_of
from router_ml.learning.training_set import TrainingSet
from router_ml.policies.constant import best_constant, constant_probs
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch

INNER_FOLDS: Final = 4
REPORTED: Final = (0.05, 0.06, 0.1, 0.12, 0.25, 0.5, 1.0)
SHARES: Final[FloatArray] = np.unique(np.append(HULL_SHARES, REPORTED))
"""Budgets that are played: those of ``hull_gain``, and round ones to be reported."""
OnPolicy = Callable[[float, FloatArray], None]
"""Told a budget, as a share, and the action probabilities that it came to."""


@dataclass(frozen=True, slots=True)
class Played:
    """A method at every budget of :data:`SHARES` on n test rows, all of shape (n, n_budgets).

    Parameters
    ----------
    quality, cost_usd : of the method
    hull : quality of the training folds' constants, mixed to cost the same on these rows
    """

    quality: FloatArray
    cost_usd: FloatArray
    hull: FloatArray

    @classmethod
    def of(cls, gains: Sequence[Gain]) -> Self:
        """One column a budget."""
        parts = ("quality", "cost_usd", "hull")
        return cls(*(np.stack([getattr(g, part) for g in gains], axis=1) for part in parts))

    @property
    def array(self) -> FloatArray:
        """All there is to keep, shape (n, n_budgets, 3)."""
        return np.stack([self.quality, self.cost_usd, self.hull], axis=2)

    @classmethod
    def from_array(cls, array: FloatArray) -> Self:
        """Rebuild from :attr:`array`."""
        return cls(array[..., 0], array[..., 1], array[..., 2])

    @property
    def gains(self) -> FloatArray:
        """Quality beyond the hull at the budgets of ``hull_gain``, shape (n, 20)."""
        chosen = np.isin(SHARES, HULL_SHARES)
        return (self.quality - self.hull)[:, chosen]


def full_training_set(truth: FullInformation, batch: QueryBatch, rows: IntArray) -> TrainingSet:
    """Every candidate's outcome on some rows, as training takes it."""
    part = truth.take(rows)
    return TrainingSet(
        queries=part.queries,
        batch=batch.take(rows),
        outcomes=Outcomes(
            quality=part.quality,
            input_tokens=part.input_tokens,
            output_tokens=part.output_tokens,
            latency_ms=np.nan_to_num(part.latency_ms),
            weight=np.ones(part.quality.shape),
        ),
        query_id=part.query_id.astype(str),
        group_id=part.group_id.astype(str),
        candidates=truth.candidates,
        requests=np.ones(len(rows)),
    )


def play(
    data: TrainingSet,
    quality: Estimator,
    truth: FullInformation,
    batch: QueryBatch,
    *,
    floored: bool,
    on_policy: OnPolicy | None = None,
) -> tuple[Estimator, Predictions, Played]:
    """Fit, solve every budget on the training rows, and play it on the test rows.

    Parameters
    ----------
    data : training rows, of a log or of full information
    quality : unfitted
    truth, batch : of the test rows
    floored : whether budgets have the hull as a floor
    on_policy : told every budget's action probabilities on the test rows, shape (n, K)

    Returns
    -------
    The fitted estimator of quality, predictions of the test rows, and what was played.
    """
    router = fit_router(data, quality)
    predicted = router.quality.oof_
    if predicted is None:
        predicted = _held_out(data, quality)
    inside = held_out_predictions(router, data, quality=predicted)
    if inside is None:
        inside = replace(router.predict(data.batch, data.candidates), quality=predicted)
    known = evidence_of(data, predicted)
    cost_usd = data.candidates.cost_usd(inside.input_tokens, inside.output_tokens)
    means = known.means()
    hull = Hull.of(means, cost_usd.mean(axis=0))
    reference = float(cost_usd[:, int(np.argmax(means))].mean())
    outside = router.predict(batch, data.candidates)
    played = play_budgets(
        inside,
        outside,
        data.candidates,
        truth,
        hull=hull,
        reference_usd=reference,
        evidence=known if floored else None,
        on_policy=on_policy,
    )
    return router.quality, outside, played


def play_budgets(
    inside: Predictions,
    outside: Predictions,
    candidates: CandidateTable,
    truth: FullInformation,
    *,
    hull: Hull,
    reference_usd: float,
    evidence: Evidence | None = None,
    on_policy: OnPolicy | None = None,
) -> Played:
    """Solve every budget on predictions of the training rows, and play it on the test rows.

    Parameters
    ----------
    inside, outside : predictions of training rows, out of fold, and of test rows
    truth : of the test rows
    hull : constants of the training rows
    reference_usd : what the best constant costs there; budgets are shares of it
    evidence : of the training rows, for floors
    on_policy : told every budget's action probabilities on the test rows, shape (n, K)
    """
    budgets = [share * reference_usd for share in SHARES]
    # Where no candidate is so cheap, the cheapest vertex.
    cheapest = constant_probs(len(truth), len(candidates), int(hull.vertices[0]))
    gains = []
    policies = solve_budgets(inside, candidates, budgets, evidence)
    for share, policy in zip(SHARES.tolist(), policies, strict=True):
        probs = cheapest if policy is None else policy.action_probs(outside, candidates)
        if on_policy is not None:
            on_policy(share, probs)
        gains.append(hull.gain(probs, truth.quality, truth.cost_usd))
    return Played.of(gains)


def _held_out(data: TrainingSet, quality: Estimator) -> FloatArray:
    """By the inner folds of a stack, so that a member alone needs no further fit."""
    Y, weight = data.outcomes.quality, data.outcomes.weight
    found, _ = out_of_fold(
        {"it": quality},
        data.batch,
        Y,
        candidates=data.candidates,
        weight=np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight),
        groups=data.groups,
        folds=group_folds(data.groups, n_folds=INNER_FOLDS),
    )
    return found["it"]


def budget_metrics(played: Played, truth: FullInformation) -> Metrics:
    """``hull_gain``, and quality, cost and gain at round budgets; operating points as trained."""
    groups = truth.groups
    row = hull_gain(played.gains, groups)
    price = float(truth.cost_usd[:, best_constant(truth.quality, truth.cost_usd)].mean())
    for share in REPORTED:
        at = int(np.argmin(np.abs(SHARES - share)))
        name = f"at_{round(100 * share)}pct_budget"
        gain = played.quality[:, at] - played.hull[:, at]
        row[f"quality_{name}"] = bootstrap_mean(played.quality[:, at], group_id=groups)
        row[f"cost_share_{name}"] = bootstrap_mean(played.cost_usd[:, at] / price, group_id=groups)
        row[f"gain_{name}"] = bootstrap_mean(gain, group_id=groups)
    return row


def leads(rows: Mapping[str, FloatArray], leader: str, groups: IntArray) -> Metrics:
    """How far the leader is ahead of every rival, 95 % simultaneous over rivals (max-t).

    Parameters
    ----------
    rows : what each method's decisions are worth on every row, shape (n,), by name
    """
    rivals = [name for name in rows if name != leader]
    if leader not in rows or not rivals:
        return {}
    apart = np.stack([rows[leader] - rows[name] for name in rivals], axis=1)
    return dict(zip(rivals, simultaneous_means(apart, groups), strict=True))
