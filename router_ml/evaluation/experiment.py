r"""A randomised experiment of two arms: what the challenger adds, with anytime-valid intervals.

What is randomised is the unit (a session), so units are what is counted: with :math:`A_i` whether
unit i is the challenger's, :math:`s_i` the probability of that, :math:`S_i` the sum and :math:`N_i`
the number of its values, the arms' means are

.. math:: \mu_1 = \frac{\sum_i A_i S_i / s_i}{\sum_i A_i N_i / s_i}, \qquad
          \mu_0 = \frac{\sum_i (1 - A_i) S_i / (1 - s_i)}{\sum_i (1 - A_i) N_i / (1 - s_i)}

so a share that was raised on the way does no harm. The lift :math:`\mu_1 - \mu_0` is a mean of
independent residuals in the limit, and has an asymptotic confidence sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from router_ml.errors import DataError
from router_ml.evaluation.confidence_sequences import half_width, quantile_interval
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import BoolArray, FloatArray

Verdict = Literal["better", "worse", "not told apart", "too early"]
QUANTILES: Final = (0.5, 0.95, 0.99)
MIN_UNITS: Final = 50
"""Units of each arm below which the limit theorem is not relied upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRows:
    """Requests of an experiment, in any order; every array has shape (n,).

    Parameters
    ----------
    unit : code of what was assigned as a whole
    challenger : whether the unit is the challenger's
    share : probability with which it is
    quality, cost_usd, latency_ms : NaN where unknown
    """

    unit: FloatArray
    challenger: BoolArray
    share: FloatArray
    quality: FloatArray
    cost_usd: FloatArray
    latency_ms: FloatArray

    def __post_init__(self) -> None:
        if len(self.unit) and not ((self.share > 0) & (self.share < 1)).all():
            raise DataError("every share must be in (0, 1): the others are no experiment")
        both = np.unique(np.column_stack([self.unit, self.challenger]), axis=0)
        if len(both) != len(np.unique(self.unit)):
            raise DataError("a unit was in both arms: it was not assigned as a whole")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of both arms, and the lift with its interval."""

    champion: float
    challenger: float
    lift: Estimate


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What is known by now.

    Parameters
    ----------
    units : of champion and challenger
    metrics : quality, cost_usd, utility, and latency quantiles
    verdict : on utility
    """

    units: tuple[int, int]
    metrics: Mapping[str, Comparison]
    verdict: Verdict


def report(
    rows: ExperimentRows, *, cost_weight: float = 0.0, alpha: float = 0.05, planned: int = 1_000
) -> ExperimentReport:
    """Compare the arms; may be asked again and again while the experiment runs.

    Parameters
    ----------
    cost_weight : quality per US dollar
    alpha : probability that one metric's interval is ever wrong
    planned : units at which intervals are to be tightest, chosen beforehand
    """
    metrics: dict[str, Comparison] = {}
    utility = rows.quality - cost_weight * rows.cost_usd
    for name, values in (
        ("quality", rows.quality),
        ("cost_usd", rows.cost_usd),
        ("utility", utility),
    ):
        metrics[name] = lift(rows, values, alpha=alpha, planned=planned)
    for p in QUANTILES:
        found = quantile_lift(rows, rows.latency_ms, p, alpha=alpha, planned=planned)
        metrics[f"latency_ms_p{100 * p:g}"] = found
    units = tuple(len(np.unique(rows.unit[rows.challenger == arm])) for arm in (False, True))
    judged = metrics["utility"].lift
    verdict: Verdict = "not told apart"
    if not np.isfinite(judged.low):
        verdict = "too early"
    elif judged.low > 0.0:
        verdict = "better"
    elif judged.high < 0.0:
        verdict = "worse"
    return ExperimentReport((units[0], units[1]), metrics, verdict)


def lift(
    rows: ExperimentRows, values: FloatArray, *, alpha: float = 0.05, planned: int = 1_000
) -> Comparison:
    """Difference of the arms' means; the interval is infinite while an arm has few units.

    Parameters
    ----------
    values : shape (n,), NaN where unknown
    """
    known = np.isfinite(values)
    _, first, code = np.unique(rows.unit[known], return_index=True, return_inverse=True)
    size = np.bincount(code).astype(float)
    total = np.bincount(code, weights=values[known])
    arm, share = rows.challenger[known][first], rows.share[known][first]
    n = len(size)
    if min(arm.sum(), n - arm.sum()) < 1:
        return Comparison(np.nan, np.nan, Estimate(np.nan, -np.inf, np.inf, n))
    weights = np.where(arm, 0.0, 1.0 / (1.0 - share)), np.where(arm, 1.0 / share, 0.0)
    means = [float(weight @ total / (weight @ size)) for weight in weights]
    residual = sum(
        sign * weight * (total - mean * size) * (n / (weight @ size))
        for sign, weight, mean in zip((-1.0, 1.0), weights, means, strict=True)
    )
    value = means[1] - means[0]
    if min(arm.sum(), n - arm.sum()) < MIN_UNITS:
        half = np.inf
    else:
        half = half_width(float(np.std(residual)), n, alpha=alpha, planned=planned)
    return Comparison(means[0], means[1], Estimate(value, value - half, value + half, n))


def quantile_lift(
    rows: ExperimentRows,
    values: FloatArray,
    p: float,
    *,
    alpha: float = 0.05,
    planned: int = 1_000,
) -> Comparison:
    """Difference of the arms' quantiles; each arm's sequence has half of ``alpha``."""
    known = np.isfinite(values)
    middles, lows, highs = [], [], []
    for arm in (False, True):
        mine = known & (rows.challenger == arm)
        few = len(np.unique(rows.unit[mine])) < MIN_UNITS
        middle, low, high = quantile_interval(
            values[mine], rows.unit[mine], p, alpha=alpha / 2.0, planned=planned
        )
        middles.append(middle)
        lows.append(-np.inf if few else low)
        highs.append(np.inf if few else high)
    value, n = middles[1] - middles[0], len(np.unique(rows.unit[known]))
    estimate = Estimate(value, lows[1] - highs[0], highs[1] - lows[0], n)
    return Comparison(middles[0], middles[1], estimate)
