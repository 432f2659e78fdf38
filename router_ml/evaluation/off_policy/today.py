"""Today: what the logging policy does, measured on what it did."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from router_ml.evaluation.off_policy.estimators import RowValues, doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import FloatArray

TODAY: Final = "today"
"""The logging policy as a contender, in every table, figure and comparison."""


def today_probs(log: LoggedFeedback, n_candidates: int) -> FloatArray:
    """Who was chosen, as action probabilities, shape (n, K)."""
    return np.eye(n_candidates)[log.action]


def on_policy(log: LoggedFeedback) -> LoggedFeedback:
    """The log as the evaluation of its own policy: every choice is certain, labels are not."""
    return replace(log, propensity=np.ones(len(log)), propensity_source="logged")


def today_values(log: LoggedFeedback, predicted: FloatArray) -> RowValues:
    r"""Row values of today: predictions of what was served, corrected by its labels.

    .. math:: \hat q_{i a_i} + \frac{l_i}{e_i} (y_i - \hat q_{i a_i})

    No propensity is in it, so what the company does now is known far better than any other policy.

    Parameters
    ----------
    predicted : float array, shape (n, K), of the outcome

    Examples
    --------
    >>> log = LoggedFeedback(np.array([0, 1]), np.array([0.5, 0.1]), np.array([1.0, 0.0]))
    >>> today_values(log, np.full((2, 2), 0.3)).value
    0.5
    """
    probs = today_probs(log, predicted.shape[1])
    return doubly_robust(on_policy(log), probs, predicted)
