"""The best constant of a log, by off-policy estimates."""

from __future__ import annotations

import numpy as np

from router_ml.data.groups import N_FOLDS, hash_folds
from router_ml.data.outcomes import UNSETTLED, TrainingTable
from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.off_policy.estimators import effective_sample_size, snips
from router_ml.evaluation.off_policy.log_feedback import feedback
from router_ml.evaluation.off_policy.overlap import MIN_ROWS
from router_ml.policies.constant import constant_probs


def can_judge_a_constant(log: TrainingTable) -> bool:
    """Whether :func:`best_logged` finds one with any fifth of the prompts left out."""
    try:
        for fold in range(N_FOLDS):
            best_logged(log.take(hash_folds(log.group_id) != fold))
    except (DataError, SchemaError):
        return False
    return True


def best_logged(log: TrainingTable) -> int:
    """Best constant of a log by SNIPS, the cheaper among equals, of those that it can judge.

    Raises
    ------
    DataError
        If there is none.
    """
    quality, cost_usd = feedback(log, estimate=True)
    n, k = len(log), len(log.candidates)
    values = np.full((k, 2), [-np.inf, np.inf])
    for candidate in range(k):
        probs = constant_probs(n, k, candidate)
        if (
            effective_sample_size(quality.weights(probs)) >= MIN_ROWS
            and cost_usd.weights(probs).any()
        ):
            values[candidate] = snips(quality, probs).value, snips(cost_usd, probs).value
    if np.isinf(values[:, 0]).all():
        raise DataError(
            f"no candidate has {MIN_ROWS:g} effective labelled requests, so there is no best "
            f"constant to compare with; join more labels, or name a matrix{UNSETTLED}"
        )
    return int(np.lexsort((values[:, 1], -np.round(values[:, 0], 12)))[0])
