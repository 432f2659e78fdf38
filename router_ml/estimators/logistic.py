"""Penalised logistic regression: calibration, propensities and label probabilities use it."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray

_STEPS: Final = 50
_FLAT: Final = 1e-9
"""Added to every row's curvature, so that separable data stay solvable."""


def fit_logistic(
    X: FloatArray,
    y: FloatArray,
    *,
    penalty: FloatArray,
    weight: FloatArray | None = None,
    prior: FloatArray | None = None,
) -> FloatArray:
    r"""Coefficients by Newton's method, pulled towards a prior, shape (p,).

    .. math:: \min_\beta \sum_i w_i\,\ell(y_i, x_i^\top \beta)
              + \tfrac12 \sum_j \alpha_j (\beta_j - \beta^0_j)^2

    Parameters
    ----------
    X : shape (n, p); a column of ones is the intercept
    y : shape (n,), in [0, 1]; shares and pseudo-outcomes are allowed
    penalty : :math:`\alpha`, shape (p,), > 0
    weight : shape (n,), >= 0, optional
    prior : :math:`\beta^0`, shape (p,); default: zero

    Examples
    --------
    >>> x = np.linspace(-4, 4, 4001)
    >>> X = np.column_stack([x, np.ones(4001)])
    >>> fit_logistic(X, 1 / (1 + np.exp(-(0.5 * x + 1))), penalty=np.full(2, 1e-6)).round(2)
    array([0.5, 1. ])
    """
    centre = np.zeros(X.shape[1]) if prior is None else prior
    mass = np.ones(len(y)) if weight is None else weight
    coef = centre.astype(float)
    for _ in range(_STEPS):
        mean = 1.0 / (1.0 + np.exp(-np.clip(X @ coef, -500.0, 500.0)))
        gradient = X.T @ (mass * (mean - y)) + penalty * (coef - centre)
        hessian = (X * (mass * (mean * (1.0 - mean) + _FLAT))[:, None]).T @ X + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        coef = coef - step
        if np.abs(step).max() < 1e-9:
            break
    return coef
