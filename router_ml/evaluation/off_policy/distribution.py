r"""More than means: quantiles and tail means of what another policy would have come to.

Weighted rows are a distribution: :math:`\hat F(t) = \sum_i w_i 1\{y_i \le t\} / \sum_i w_i` is the
share of a policy's requests with an outcome up to t, the self-normalised off-policy estimate of its
distribution function [1]_ [2]_. Quantiles (the 95th percentile of latency) and tail means (quality
of the worst twentieth) are read off it. Both are given with row values that are linear in what a
row adds, so that they are compared, clustered and tested as means are.

References
----------
.. [1] Huang, Leqi, Lipton and Azizzadenesheli, "Off-Policy Risk Assessment in Contextual Bandits",
   NeurIPS 2021.
.. [2] Chandak et al., "Universal Off-Policy Evaluation", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from router_ml.errors import ConfigError, OverlapError, SchemaError
from router_ml.evaluation.intervals import Estimate, cluster_mean
from router_ml.evaluation.off_policy.estimators import effective_sample_size
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import FloatArray, IntArray

Tail = Literal["low", "high"]
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class WeightedOutcomes:
    """A policy's outcomes: weighted values, by request.

    Parameters
    ----------
    values, weights : float arrays, shape (n, m), m outcomes a request; 0 weighs what does not count
    group_id : int array, shape (n,), the independent unit
    """

    values: FloatArray
    weights: FloatArray
    group_id: IntArray

    def __post_init__(self) -> None:
        if self.values.shape != self.weights.shape or len(self.group_id) != len(self.values):
            raise SchemaError(
                "values and weights must have one shape and group_id as many rows, got "
                f"{self.values.shape}, {self.weights.shape} and {len(self.group_id)}"
            )
        if not self.weights.sum() > 0.0:
            raise OverlapError(
                "no request with a known outcome was served by a candidate that this policy would "
                "choose; log some traffic on its candidates, or evaluate another policy"
            )

    @classmethod
    def of_log(cls, log: LoggedFeedback, action_probs: FloatArray) -> WeightedOutcomes:
        """Of a policy that a log is reweighted to, ``action_probs`` of shape (n, K)."""
        weights = log.weights(action_probs)[:, None]
        return cls(log.filled[:, None], weights, log.group_id)

    @classmethod
    def of_matrix(
        cls, outcomes: FloatArray, action_probs: FloatArray, group_id: IntArray
    ) -> WeightedOutcomes:
        """Of a policy where every candidate's outcome is known, both of shape (n, K)."""
        known = np.isfinite(outcomes)
        return cls(np.where(known, outcomes, 0.0), np.where(known, action_probs, 0.0), group_id)

    @property
    def n(self) -> int:
        """Requests."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class TailValue:
    """A quantile or a tail mean.

    Parameters
    ----------
    value : the estimate
    influence : float array, shape (n,), row values whose mean is ``value``
    interval : 95 %, two-sided; an end that the data cannot bound is infinite
    tail_rows : effective requests beyond the quantile, or in the tail
    """

    value: float
    influence: FloatArray
    interval: Estimate
    tail_rows: float


def quantile(outcomes: WeightedOutcomes, level: float, *, confidence: float = 0.95) -> TailValue:
    r"""The outcome that a share ``level`` of a policy's requests does not exceed.

    Its interval holds the values t whose share :math:`\hat F(t)` is not significantly different
    from ``level`` (Woodruff's, with the score variance at the effective number of requests), so it
    needs no density and is wide where the tail is thin: an end that no outcome bounds is infinite.
    Row values are :math:`Q - (1\{y \le Q\} - F) w / (\bar w \hat f(Q))`, with the density taken
    from the same interval's inside.

    Parameters
    ----------
    level : in (0, 1), such as 0.95

    References
    ----------
    .. [1] Woodruff, "Confidence Intervals for Medians and Other Position Measures", JASA, 1952.
    .. [2] Francisco and Fuller, "Quantile Estimation with a Complex Survey Design", Annals of
       Statistics, 1991.

    Examples
    --------
    >>> values = np.arange(1.0, 1_001.0)[:, None]
    >>> rows = WeightedOutcomes(values, np.ones_like(values), np.arange(1_000))
    >>> found = quantile(rows, 0.95)
    >>> found.value, found.interval.low < 950.0 < found.interval.high
    (950.0, True)
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be in (0, 1), got {level}")
    at = _quantile_function(outcomes)
    value = at(level)
    below = _share_rows(outcomes, value)
    error = cluster_mean(below, outcomes.group_id)[1]
    # Requests, unweighted and independent, that would tell as much of this share.
    effective = level * (1.0 - level) / max(error, 1e-12) ** 2
    effective = min(effective, effective_sample_size(outcomes.weights.ravel()))
    z = float(ndtri(0.5 + confidence / 2.0))
    reach = z * np.sqrt(level * (1.0 - level) / effective)
    low = -np.inf if level - reach <= 0.0 else at(level - reach)
    high = np.inf if level + reach >= 1.0 else at(level + reach)
    half = _Z * np.sqrt(level * (1.0 - level) / effective)
    inner, outer = max(level - half, 0.0), min(level + half, 1.0)
    spread = at(outer) - at(inner)
    slope = spread / max(outer - inner, 1e-12)
    influence: FloatArray = value - slope * (below - below.mean())
    tail_rows = min(
        effective_sample_size((outcomes.weights * side).ravel())
        for side in (outcomes.values >= value, outcomes.values <= value)
    )
    return TailValue(value, influence, Estimate(value, low, high, outcomes.n), tail_rows)


def tail_mean(
    outcomes: WeightedOutcomes, share: float, *, tail: Tail = "low", confidence: float = 0.95
) -> TailValue:
    r"""Mean outcome of the ``share`` of requests with the lowest (or highest) ones: CVaR.

    .. math:: \mathrm{CVaR} = \max_t \Big\{ t - \frac{1}{\alpha}\,
              \mathbb E\big[(t - Y)_+\big] \Big\}

    attained at the quantile, so the row values :math:`t - (t - y)_+ / \alpha` at that t are exact
    to first order. Where a policy fails at least that often, the worst requests of right or wrong
    answers have quality 0.

    Parameters
    ----------
    share : :math:`\alpha` in (0, 1), such as 0.05
    tail : ``low`` for quality and utility, ``high`` for cost and latency

    References
    ----------
    .. [1] Rockafellar and Uryasev, "Optimization of Conditional Value-at-Risk", Journal of Risk,
       2000.

    Examples
    --------
    >>> values = np.arange(1.0, 101.0)[:, None]
    >>> rows = WeightedOutcomes(values, np.ones_like(values), np.arange(100))
    >>> round(tail_mean(rows, 0.05).value, 6), round(tail_mean(rows, 0.05, tail="high").value, 6)
    (3.0, 98.0)
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share must be in (0, 1), got {share}")
    sign = 1.0 if tail == "low" else -1.0
    signed = WeightedOutcomes(sign * outcomes.values, outcomes.weights, outcomes.group_id)
    turning = _quantile_function(signed)(share)
    excess = turning - np.maximum(turning - signed.values, 0.0) / share
    rows = sign * _ratio_rows(excess, outcomes.weights)
    value, error, groups = cluster_mean(rows, outcomes.group_id)
    # As many groups as there are effective requests in the tail: a few rows say little of it.
    inside = outcomes.weights * (signed.values <= turning)
    tail_rows = min(groups, effective_sample_size(inside.ravel()))
    reach = float(stdtrit(max(tail_rows - 1.0, 1.0), 0.5 + confidence / 2.0)) * error
    interval = Estimate(value, value - reach, value + reach, outcomes.n)
    return TailValue(value, rows, interval, tail_rows)


def _quantile_function(outcomes: WeightedOutcomes) -> Callable[[float], float]:
    """From a share of a policy's requests to the outcome that it does not exceed."""
    values, weights = outcomes.values.ravel(), outcomes.weights.ravel()
    kept = weights > 0.0
    values, weights = values[kept], weights[kept]
    order = np.argsort(values, kind="stable")
    values, share = values[order], np.cumsum(weights[order])
    share /= share[-1]

    def at(level: float) -> float:
        # The rounding of a cumulated sum must not push a level onto the next value.
        place = np.searchsorted(share, level - 1e-12 * len(share), side="left")
        return float(values[min(int(place), len(values) - 1)])

    return at


def _share_rows(outcomes: WeightedOutcomes, value: float) -> FloatArray:
    """Row values of the share of outcomes up to ``value``, shape (n,)."""
    return _ratio_rows((outcomes.values <= value).astype(float), outcomes.weights)


def _ratio_rows(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Row values of a weighted mean, linearised, shape (n,); arrays of shape (n, m)."""
    mean = float((weights * values).sum() / weights.sum())
    rows: FloatArray = mean + (weights * (values - mean)).sum(axis=1) * len(weights) / weights.sum()
    return rows
