"""How quality and policy are learned from a log that shows one candidate's outcome a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import advantage, squared_errors
from router_ml.estimators.effects import split_effects, split_predictions
from router_ml.estimators.router import RouterEstimator
from router_ml.evaluation.floor import with_floor
from router_ml.evaluation.intervals import cluster_mean
from router_ml.evaluation.off_policy.pseudo_outcomes import pseudo_outcomes
from router_ml.learning.held_out import held_out_quality
from router_ml.learning.training_set import TrainingSet
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

Learning = Literal["naive", "ipw", "dr"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a direct policy is learned from.

    Parameters
    ----------
    pseudo : DR pseudo-outcomes of quality, shape (n, K)
    requests : how often each query was asked, shape (n,)
    group_id : int codes, shape (n,)
    rated : candidates with a label, bool array, shape (K,)
    contrast_z : standard errors by which predicted contrasts lower the held-out squared error
    served : how often each candidate served each query, shape (n, K); None where nobody chose
    """

    pseudo: FloatArray
    requests: FloatArray
    group_id: IntArray
    rated: BoolArray
    contrast_z: float = 0.0
    served: FloatArray | None = None

    def means(self) -> FloatArray:
        """DR mean quality of every candidate, shape (K,)."""
        means: FloatArray = np.average(self.pseudo, axis=0, weights=self.requests)
        return means

    def value(self, action_probs: FloatArray) -> float:
        """DR mean quality of a policy, from its distribution, shape (n, K)."""
        gained = np.sum(action_probs * self.judged, axis=1)
        return float(np.average(gained, weights=self.requests))

    @property
    def judged(self) -> FloatArray:
        """Pseudo-outcomes, shape (n, K); candidates that nobody has rated have the least of all."""
        if self.rated.all() or not self.rated.any():
            return self.pseudo
        return np.where(self.rated, self.pseudo, self.pseudo[:, self.rated].min())

    def lead(
        self,
        action_probs: FloatArray,
        opponent_probs: FloatArray,
        lost: FloatArray | float = 0.0,
    ) -> tuple[float, float]:
        """DR mean quality of a policy less that of another, and the standard error of it.

        ``lost`` is taken from each candidate's quality first, shape (n, K): what its cost weighs.
        """
        share = self.requests / self.requests.mean()
        worth = self.judged - lost
        gained = share * np.sum((action_probs - opponent_probs) * worth, axis=1)
        mean, error, _ = cluster_mean(gained, self.group_id)
        return mean, error

    def standard_errors(self) -> FloatArray:
        """Standard error of every candidate's DR mean quality, shape (K,); 1 without a label."""
        share = self.requests / self.requests.mean()
        deviation = share[:, None] * (self.pseudo - self.means())
        errors = [cluster_mean(column, self.group_id)[1] for column in deviation.T]
        return np.where(self.rated, np.minimum(errors, 1.0), 1.0)

    def floored(
        self, predictions: Predictions, candidates: CandidateTable, policy: BudgetPolicy
    ) -> BudgetPolicy:
        """The policy mixed with constants as far as evidence is missing; predictions out of fold.

        Candidates that nobody has rated are in no mixture.
        """
        if not self.rated.any():
            return policy
        return with_floor(
            policy,
            predictions,
            candidates,
            self.judged,
            requests=self.requests,
            group_id=self.group_id,
            contrast_z=self.contrast_z,
        )


def training_targets(data: TrainingSet, quality: Estimator, learning: Learning) -> TrainingSet:
    """The training set with what quality is fitted to; the estimator is left unfitted.

    With ``learning="dr"`` that are pseudo-outcomes, from predictions of rows by models of the
    labels that have not seen them; so it takes another fit.
    """
    if learning != "dr":
        return data
    pseudo = pseudo_quality(data, held_out_quality(data, quality))
    mass = np.tile(data.requests[:, None], (1, pseudo.shape[1]))
    return replace(data, outcomes=replace(data.outcomes, quality=pseudo, weight=mass))


def pseudo_quality(data: TrainingSet, predicted: FloatArray) -> FloatArray:
    """DR pseudo-outcomes of quality, shape (n, K); ``predicted`` is out of fold."""
    Y, weight = data.outcomes.quality, data.outcomes.weight
    weight = np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight)
    return pseudo_outcomes(predicted, Y, weight, data.requests)


def evidence_for(
    policy: Mapping[str, Any],
    data: TrainingSet,
    router: RouterEstimator,
    held_out: Predictions | None,
) -> Evidence | None:
    """What a policy's spec needs beyond predictions; None for most, and where nothing is labelled.

    A budget's floor needs held-out predictions: without them there is none.
    """
    if np.isnan(data.outcomes.quality).all():
        return None
    direct = policy.get("direct") or policy.get("name") == "thompson"
    if held_out is not None and (direct or policy.get("name") == "budget"):
        return evidence_of(data, held_out.quality)
    return evidence_of(data, held_out_quality(data, router.quality)) if direct else None


def evidence_of(data: TrainingSet, predicted: FloatArray) -> Evidence:
    """Pseudo-outcomes by these predictions, shape (n, K), which must be out of fold."""
    return Evidence(
        pseudo=pseudo_quality(data, predicted),
        requests=data.requests,
        group_id=data.groups,
        rated=np.asarray(np.isfinite(data.outcomes.quality).any(axis=0)),
        contrast_z=_contrast_z(data, predicted),
        served=data.served,
    )


def _contrast_z(data: TrainingSet, predicted: FloatArray) -> float:
    """How reliably predictions err less than the same without contrasts, over labelled cells."""
    Y = data.outcomes.quality
    observed = np.isfinite(Y)
    given = np.ones(Y.shape) if data.outcomes.weight is None else data.outcomes.weight
    weight = np.where(observed, given, 0.0)
    level = split_effects(Y, observed, weight).level
    common, _ = split_predictions(predicted, level)
    errors, flat = (squared_errors(q, Y, weight) for q in (predicted, level + common))
    return advantage(errors, flat, data.groups)[1]
