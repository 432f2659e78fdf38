"""What the log did not show: how likely each label was to be seen, and the weight it then gets."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.data.groups import group_codes
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.nuisance import estimate_label_prob
from router_ml.types.arrays import BoolArray, FloatArray

MAX_WEIGHT: Final = 3.0
"""Largest inverse probability, in multiples of the mean: more buys variance, not truth.

Chosen on two synthetic worlds (0, 3 and 10 tried), where 3 gave the best routers on both.
"""


def label_probability(table: TrainingTable, known: BoolArray | None = None) -> FloatArray:
    """Probability that a request is labelled, given what is logged, cross-fitted, shape (n,).

    ``known``, shape (n,), says which requests have an outcome other than quality.

    Missing at random given the candidate and the logging policy's propensity, which carries the
    query's stratum where the policy used one. Labels that no longer count say nothing of how likely
    a label is: their requests are left out, and get the mean.

    Where labels were drawn (``router-ml label``), the probability of the draw holds for the
    requests up to its last one. Those that had a label already were not in the draw and stand for
    themselves: their probability is one, so that nothing is assumed of why they had it.
    """
    k = len(table.candidates)
    rows = np.arange(len(table))
    drawn = np.zeros(len(table), dtype=bool)
    if known is None:
        known = np.isfinite(table.quality)
        counts = (table.served < 0) | ~table.outdated[rows, table.served]
        if len(table.label_prob) and (mine := known & np.isfinite(table.label_prob)).any():
            drawn = table.time <= table.time[mine].max()
        rows = np.flatnonzero(counts & ~drawn)
    features = np.eye(k)[np.maximum(table.served, 0)]
    if np.isfinite(table.propensity).all():
        surprise = np.log(table.propensity)[:, None]
        features = np.column_stack([features, surprise, features * surprise])
    labelled = known[rows].astype(float)
    probs = np.full(len(table), max(float(labelled.mean()) if len(rows) else 1.0, 1e-3))
    if len(rows):
        groups = group_codes(table.group_id)[rows]
        probs[rows] = estimate_label_prob(features[rows], labelled, groups)
    if drawn.any():
        probs[drawn] = np.where(np.isfinite(table.label_prob), table.label_prob, 1.0)[drawn]
    return probs


def inverse_probability_weight(table: TrainingTable) -> FloatArray:
    """Weight that makes labelled requests stand for all requests, shape (n,), mean one.

    ``1 / (propensity * label probability)``, capped at ``MAX_WEIGHT`` times its mean. Requests
    without a logged propensity count as if every candidate had been equally likely.
    """
    propensity = table.balanced_propensity
    filled = np.where(np.isfinite(propensity), propensity, 1.0 / len(table.candidates))
    weight = 1.0 / (filled * label_probability(table))
    weight = np.minimum(weight / weight.mean(), MAX_WEIGHT)
    scaled: FloatArray = weight / weight.mean()
    return scaled
