"""How wrong could it be? Bounds for labels that are not missing at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper end of what is compatible with the data; sampling error not included."""

    low: float
    high: float


def worst_case_bounds(
    log: LoggedFeedback, action_probs: FloatArray, *, low: float = 0.0, high: float = 1.0
) -> Bounds:
    """Bound the value when nothing is assumed about unlabelled outcomes (Manski).

    Unlabelled rows get the lowest, then the highest outcome; actions are weighted, labels are not.

    Examples
    --------
    >>> log = LoggedFeedback(np.array([0, 0]), np.ones(2), np.array([1.0, np.nan]))
    >>> worst_case_bounds(log, np.ones((2, 1)))
    Bounds(low=0.5, high=1.0)
    """
    ratio = action_probs[np.arange(len(log)), log.action] / log.propensity
    ends = [np.where(log.labelled, log.outcome, end) for end in (low, high)]
    return Bounds(*(float(np.sum(ratio * y) / ratio.sum()) for y in ends))


def sensitivity_bounds(log: LoggedFeedback, action_probs: FloatArray, *, gamma: float) -> Bounds:
    r"""Bound SNIPS when labels may depend on the outcome itself, up to a factor of odds.

    Under the marginal sensitivity model [1]_ the true label probability :math:`e^*` of a row
    satisfies :math:`1/\Gamma \le \frac{e^*/(1-e^*)}{e/(1-e)} \le \Gamma`, so that its weight lies
    between :math:`1 + \frac{1-e}{\Gamma e}` and :math:`1 + \Gamma \frac{1-e}{e}` times the action
    ratio. The extremes of the weighted mean give high weight to all rows above some outcome.

    Parameters
    ----------
    gamma : :math:`\Gamma \ge 1`; 1 assumes missing at random and returns SNIPS twice

    References
    ----------
    .. [1] Zhao, Small and Bhattacharya, "Sensitivity analysis for inverse probability weighting
       estimators via the percentile bootstrap", JRSS B, 2019.
    """
    if not gamma >= 1.0:
        raise ConfigError(f"gamma must be >= 1, got {gamma}")
    seen = log.labelled
    ratio = (action_probs[np.arange(len(log)), log.action] / log.propensity)[seen]
    odds = (1.0 - log.label_prob[seen]) / log.label_prob[seen]
    small, large = ratio * (1.0 + odds / gamma), ratio * (1.0 + odds * gamma)
    outcome = log.outcome[seen]
    return Bounds(
        low=-_largest_mean(-outcome, small, large), high=_largest_mean(outcome, small, large)
    )


def _largest_mean(outcome: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Largest weighted mean with every weight between ``small`` and ``large``.

    A linear-fractional programme: the optimum gives ``large`` to the rows above a cut.
    """
    order = np.argsort(-outcome)
    y, a, b = outcome[order], small[order], large[order]
    extra = np.concatenate([[0.0], np.cumsum(b - a)])
    gained = np.concatenate([[0.0], np.cumsum((b - a) * y)])
    return float(np.max((np.sum(a * y) + gained) / (np.sum(a) + extra)))
