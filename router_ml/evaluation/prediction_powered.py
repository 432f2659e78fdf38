"""Judge scores on all rows and gold labels on a few: unbiased quality with a shorter interval."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.intervals import Estimate, cluster_mean
from router_ml.types.arrays import FloatArray, IntArray

MIN_GOLD: Final = 30
"""Fewer gold labels than this say too little of the judge's errors for a normal interval."""


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """What :func:`prediction_powered_mean` found.

    Parameters
    ----------
    quality : unbiased mean quality; the interval counts the judge's errors
    gold_only : of the gold rows alone, for comparison
    judge_only : of the judge's scores on all rows: what one would report without gold
    judge_bias : judge less gold on the gold rows
    judge_weight : how much of the judge was used, in [0, 1]
    """

    quality: Estimate
    gold_only: Estimate
    judge_only: Estimate
    judge_bias: Estimate
    judge_weight: float


def prediction_powered_mean(
    judge: FloatArray,
    gold: FloatArray,
    group_id: IntArray | None = None,
    *,
    probability: FloatArray | None = None,
    confidence: float = 0.95,
) -> PredictionPowered:
    r"""Mean quality from a judge's scores on n rows and gold labels on some of them.

    .. math:: \hat\theta = \frac{1}{n}\sum_i \omega f_i
              + \frac{\sum_i R_i (y_i - \omega f_i) / e_i}{\sum_i R_i / e_i}, \quad
              \omega = \frac{\mathrm{Cov}(f, y)}{\mathrm{Var}(f)} \in [0, 1]

    with f the judge's score, y the gold label where :math:`R_i = 1`, and :math:`e_i` the
    probability that a row was given to a person. Whatever the judge's bias, the mean is right; the
    better the judge, the shorter the interval; a judge that says nothing gets the weight 0.

    Pass differences of two policies' scores and labels for a paired comparison.

    Parameters
    ----------
    judge : scores in the unit of quality, shape (n,), finite
    gold : labels, shape (n,), NaN where there is none
    group_id : int array, shape (n,), the independent unit
    probability : that a row has a gold label, shape (n,), > 0; default: equal for all rows

    Raises
    ------
    SchemaError
        If shapes differ or a score is missing.
    DataError
        If there are fewer than 30 gold labels.

    References
    ----------
    .. [1] Angelopoulos et al., "Prediction-Powered Inference", Science 382, 2023.
    .. [2] Angelopoulos, Duchi and Zrnic, "PPI++: Efficient Prediction-Powered Inference", 2023.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = (rng.random(4000) < 0.7).astype(float)
    >>> judge = np.clip(0.8 * truth + 0.25 + rng.normal(0, 0.1, 4000), 0, 1)  # too kind
    >>> gold = np.where(rng.random(4000) < 0.1, truth, np.nan)
    >>> found = prediction_powered_mean(judge, gold)
    >>> bool(found.quality.low < truth.mean() < found.quality.high)
    True
    >>> found.quality.half_width < 0.5 * found.gold_only.half_width
    True
    >>> round(found.judge_bias.value, 1)
    0.1
    """
    judge, gold = np.asarray(judge, dtype=float), np.asarray(gold, dtype=float)
    seen = np.isfinite(gold)
    if judge.shape != gold.shape or judge.ndim != 1 or not np.isfinite(judge).all():
        raise SchemaError(
            f"a judge's score is needed in every row, as many as gold labels: got {judge.shape} "
            f"and {gold.shape}, {int((~np.isfinite(judge)).sum())} of them not finite"
        )
    if seen.sum() < MIN_GOLD:
        raise DataError(f"at least {MIN_GOLD} gold labels are needed, got {int(seen.sum())}")
    chance = np.full(len(judge), seen.mean()) if probability is None else probability
    if chance.shape != judge.shape or not np.all((chance > 0) & (chance <= 1)):
        raise SchemaError("probability must be in (0, 1] in every row")
    weight = np.where(seen, 1.0 / chance, 0.0)
    power = _judge_weight(judge[seen], gold[seen], weight[seen])
    left = np.where(seen, gold, 0.0) - power * judge
    shift = float((weight * left).sum() / weight.sum())
    # Values whose mean is the estimate and whose spread is that of the ratio, linearised.
    rows = power * judge + shift + weight / weight.mean() * (left - shift)
    groups = np.arange(len(judge)) if group_id is None else group_id

    def estimate(values: FloatArray, where: FloatArray | IntArray) -> Estimate:
        mean, error, _ = cluster_mean(values, groups[where])
        half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * error
        return Estimate(mean, mean - half, mean + half, len(values))

    everything, some = np.arange(len(judge)), np.flatnonzero(seen)
    share = weight[some] / weight[some].mean()
    own = float(np.average(gold[some], weights=share))
    off = float(np.average(judge[some] - gold[some], weights=share))
    return PredictionPowered(
        quality=estimate(rows, everything),
        gold_only=estimate(own + share * (gold[some] - own), some),
        judge_only=estimate(judge, everything),
        judge_bias=estimate(off + share * (judge[some] - gold[some] - off), some),
        judge_weight=power,
    )


def _judge_weight(judge: FloatArray, gold: FloatArray, weight: FloatArray) -> float:
    """Slope of gold on judge, which minimises the variance where few rows have gold, in [0, 1]."""
    centred = judge - np.average(judge, weights=weight)
    square = float((weight * centred**2).sum())
    slope = float((weight * centred * gold).sum()) / square if square > 0 else 0.0
    return min(1.0, max(0.0, slope))
