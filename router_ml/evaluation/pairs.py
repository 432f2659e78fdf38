"""What comparisons say of a router's predictions, and what they cannot say."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.data.preferences import Preferences
from router_ml.evaluation.intervals import Estimate, bootstrap_mean
from router_ml.types.arrays import FloatArray

CANNOT_TELL: Final = (
    "how good any answer is: comparisons tell differences, so a quality, a floor on it and a "
    "certificate need labels of single answers",
    "how much better the winner is: a difference is counted in wins less losses, which is that of "
    "qualities only where answers are right or wrong",
    "what a router earns on your traffic: the prompts compared are not drawn from it, so no value, "
    "cost or gate rests on them",
)


def pair_agreement(
    quality: FloatArray, levels: FloatArray, pairs: Preferences
) -> dict[str, Estimate]:
    """How often the candidate of the higher predicted quality won, over decided comparisons.

    Parameters
    ----------
    quality : predicted for the query of each of n comparisons, shape (n, K)
    levels : one quality a candidate, shape (K,): what a constant ranking says

    Returns
    -------
    ``agreement``, ``agreement_of_levels`` and ``agreement_lead``, the difference of the two, with
    95 % intervals by bootstrap over prompts; an equal prediction counts as half. Empty where
    nothing is decided.
    """
    decided = np.flatnonzero(pairs.decided)
    if not len(decided):
        return {}
    some = pairs.take(decided)
    rows = np.arange(len(some))
    apart = quality[decided][rows, some.a] - quality[decided][rows, some.b]
    right = _right(apart, some.lead)
    flat = _right(levels[some.a] - levels[some.b], some.lead)
    groups = np.unique(some.group_id, return_inverse=True)[1]
    named = (("agreement", right), ("agreement_of_levels", flat), ("agreement_lead", right - flat))
    return {name: bootstrap_mean(values, group_id=groups) for name, values in named}


def _right(apart: FloatArray, lead: FloatArray) -> FloatArray:
    right: FloatArray = 0.5 + 0.5 * np.sign(apart) * lead
    return right
