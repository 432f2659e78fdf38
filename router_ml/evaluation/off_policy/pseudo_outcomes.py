"""DR pseudo-outcomes: a log of one outcome a request, as a full matrix to learn from."""

from __future__ import annotations

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import FloatArray


def pseudo_outcomes(
    predicted: FloatArray, Y: FloatArray, weight: FloatArray, requests: FloatArray
) -> FloatArray:
    r"""Predictions, corrected by the weighted residual of whatever the log shows, shape (n, K).

    .. math:: \Gamma_{ik} = \hat q_{ik} + \frac{s\, w_{ik}}{m_i} (\bar y_{ik} - \hat q_{ik})

    for a query that was asked :math:`m_i` times; :math:`w_{ik}` sums the inverse probabilities
    :math:`1 / (p\, e)` of its labelled requests that candidate k served, and is 0 where there is
    none. The mean of :math:`\Gamma_{\cdot k}` over any set of queries is the doubly robust estimate
    of candidate k's quality there, so whatever is fitted to it by least squares, or whatever policy
    maximises it, is aimed at the truth and not at what was logged. Single cells leave [0, 1].

    Weights need only be proportional: :math:`s` makes them add up to one a request and candidate.

    Parameters
    ----------
    predicted : float array, shape (n, K); each row by a model that has not seen its group
    Y : float array, shape (n, K), weighted mean of the labels of a cell, NaN where unobserved
    weight : float array, shape (n, K), >= 0; 0 where unobserved. Capped ones trade bias for noise
    requests : float array, shape (n,), > 0, labelled or not

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    .. [2] Kennedy, "Towards Optimal Doubly Robust Estimation of Heterogeneous Causal Effects",
       Electronic Journal of Statistics, 2023.

    Examples
    --------
    >>> Y = np.array([[1.0, np.nan], [np.nan, 0.0]])
    >>> weight = np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> pseudo_outcomes(np.full((2, 2), 0.75), Y, weight, np.ones(2)).tolist()
    [[1.25, 0.75], [0.75, -0.75]]
    """
    if not predicted.shape == Y.shape == weight.shape or len(requests) != len(Y):
        raise SchemaError(
            "predicted, Y and weight must have one shape (n, K) and requests n rows, got "
            f"{predicted.shape}, {Y.shape}, {weight.shape} and {len(requests)}"
        )
    seen = np.where(np.isnan(Y), 0.0, weight)
    total = float(seen.sum())
    if not total > 0.0 or not np.all(requests > 0):
        raise SchemaError(
            "pseudo-outcomes need a labelled cell of positive weight and requests > 0 in every row"
        )
    # A candidate that nobody rated stays as predicted, and has no share in the scale.
    rated = int(np.count_nonzero(seen.sum(axis=0)))
    scale = float(np.sum(requests)) * rated / total
    correction = scale * seen / np.asarray(requests, dtype=float)[:, None]
    corrected: FloatArray = predicted + correction * (np.where(seen > 0, Y, 0.0) - predicted)
    return corrected
