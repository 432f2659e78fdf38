r"""Per-decision estimators for cascades, where one request is a short sequence of decisions.

Step :math:`t` of a cascade chooses (accept, or escalate to a candidate), earns :math:`r_t` (minus
the cost of a call, plus the quality of an accepted answer) and goes on or ends. All arrays have
shape (n, T); steps after the end have ratio 1 and reward 0.
"""

from __future__ import annotations

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import FloatArray


def per_decision_ipw(ratio: FloatArray, reward: FloatArray) -> FloatArray:
    r"""Row values of per-decision IPW, shape (n,).

    .. math:: \sum_t \Big(\prod_{s \le t} \rho_s\Big) r_t

    A reward is weighted by the decisions that led to it, not by those that came later, so early
    costs are not multiplied by the noise of later choices.

    Parameters
    ----------
    ratio : :math:`\rho_t`, evaluation over behaviour probability of the logged decision
    reward : :math:`r_t`

    References
    ----------
    .. [1] Precup, Sutton and Singh, "Eligibility Traces for Off-Policy Policy Evaluation",
       ICML 2000.

    Examples
    --------
    >>> per_decision_ipw(np.array([[2.0, 0.5]]), np.array([[-1.0, 3.0]]))
    array([1.])
    """
    _check(ratio, reward)
    rows: FloatArray = np.sum(np.cumprod(ratio, axis=1) * reward, axis=1)
    return rows


def per_decision_dr(
    ratio: FloatArray,
    reward: FloatArray,
    predicted_action: FloatArray,
    predicted_state: FloatArray,
) -> FloatArray:
    r"""Row values of the sequential doubly robust estimator, shape (n,).

    Backwards from the end, :math:`V_t = \hat v_t + \rho_t (r_t + V_{t+1} - \hat q_t)`.

    Parameters
    ----------
    ratio, reward : as in :func:`per_decision_ipw`
    predicted_action : :math:`\hat q_t`, predicted reward from step t on, of the logged decision
    predicted_state : :math:`\hat v_t`, the same, averaged over the evaluation policy's decisions

    References
    ----------
    .. [1] Jiang and Li, "Doubly Robust Off-policy Value Evaluation for Reinforcement Learning",
       ICML 2016.

    Examples
    --------
    >>> zero = np.zeros((1, 2))
    >>> per_decision_dr(np.array([[2.0, 0.5]]), np.array([[-1.0, 3.0]]), zero, zero)
    array([1.])
    """
    for other in (reward, predicted_action, predicted_state):
        _check(ratio, other)
    value = np.zeros(len(ratio))
    for t in reversed(range(ratio.shape[1])):
        value = predicted_state[:, t] + ratio[:, t] * (
            reward[:, t] + value - predicted_action[:, t]
        )
    return value


def _check(ratio: FloatArray, other: FloatArray) -> None:
    if ratio.ndim != 2 or ratio.shape != other.shape:
        raise SchemaError(
            f"cascade arrays must all be (n, T), got {ratio.shape} and {other.shape}; pad ended "
            "requests with ratio 1 and reward 0"
        )
