"""Maps predicted quality to the quality that is observed where that was predicted.

A calibrator is one monotone function for all candidates: fitted apart, each candidate's noise would
reorder them. It must be fitted on predictions for rows that the predictor has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.estimators.logistic import fit_logistic
from router_ml.types.arrays import FloatArray

EPSILON: Final = 1e-4
"""Predictions are kept this far from 0 and 1 before a logarithm is taken."""
FEW_LABELS: Final = 1_000
_MAX_KNOTS: Final = 24
_MIN_GAP: Final = 0.005
"""Knots nearer than this are one: a steep segment would magnify float32 rounding in the graph."""


@dataclass(frozen=True, slots=True)
class BetaCalibrator:
    r"""Three parameters, for few labels.

    .. math:: \mathrm{logit}\, c(p) = a \ln p - b \ln(1 - p) + d, \quad a, b \ge 0

    ``a = b`` is Platt scaling of the log-odds; ``a = b = 1, d = 0`` changes nothing, and the fit is
    pulled towards it.

    Parameters
    ----------
    coef : float array ``[a, b, d]``

    References
    ----------
    .. [1] Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017.
    """

    coef: FloatArray

    def __call__(self, predicted: FloatArray) -> FloatArray:
        """Calibrated quality, any shape."""
        eta = _beta_features(predicted) @ self.coef
        out: FloatArray = 1.0 / (1.0 + np.exp(-eta))
        return out

    @property
    def array(self) -> FloatArray:
        """All there is to store; :func:`calibrator_from_array` reads it."""
        return self.coef


@dataclass(frozen=True, slots=True)
class IsotonicCalibrator:
    """Straight lines between knots, flat outside, for many labels.

    Isotonic regression gives steps, and steps are ties that a router can't rank. Joining the
    centres of the steps keeps the fit and is strictly increasing between its ends.
    :func:`fit_isotonic` moves it only as far from the identity as the labels bear out.

    Parameters
    ----------
    knots : float array, shape (2, n_knots); predictions, ascending, and their calibrated values

    References
    ----------
    .. [1] Oron and Flournoy, "Centered Isotonic Regression", Statistics in Biopharmaceutical
       Research 9, 2017.
    """

    knots: FloatArray

    def __call__(self, predicted: FloatArray) -> FloatArray:
        """Calibrated quality, any shape."""
        out: FloatArray = np.interp(predicted, self.knots[0], self.knots[1])
        return out

    @property
    def array(self) -> FloatArray:
        """All there is to store; :func:`calibrator_from_array` reads it."""
        return self.knots


Calibrator = BetaCalibrator | IsotonicCalibrator


def fit_calibrator(
    predicted: FloatArray, observed: FloatArray, weight: FloatArray | None = None
) -> Calibrator:
    """Fit on out-of-fold predictions: beta below 1,000 labels, isotonic from there.

    Parameters
    ----------
    predicted : in [0, 1]
    observed : same shape, NaN where unobserved; pseudo-outcomes may leave [0, 1]
    weight : same shape, >= 0, optional

    Raises
    ------
    SchemaError
        If shapes differ or nothing was observed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(5000)
    >>> labels = (rng.random(5000) < truth).astype(float)
    >>> calibrator = fit_calibrator(truth**2, labels)  # predictions that are too low
    >>> bool(np.abs(calibrator(truth**2) - truth).mean() < 0.03)
    True
    """
    p, y = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    if p.shape != y.shape:
        raise SchemaError(f"predictions and labels must have one shape, got {p.shape}, {y.shape}")
    w = np.ones(p.shape) if weight is None else np.broadcast_to(weight, p.shape)
    known = ~np.isnan(y) & (w > 0)
    if not known.any():
        raise SchemaError("calibration needs at least one label of positive weight, got none")
    p, y, w = p[known], y[known], w[known] / w[known].mean()
    return fit_beta(p, y, w) if len(p) < FEW_LABELS else fit_isotonic(p, y, w)


def fit_beta(
    p: FloatArray, y: FloatArray, weight: FloatArray, *, prior_weight: float = 10.0
) -> BetaCalibrator:
    """Penalised logistic regression by Newton's method, pulled towards the identity.

    Parameters
    ----------
    p, y, weight : shape (n,)
    prior_weight : strength of the pull, in squared units of the three coefficients
    """
    identity = np.array([1.0, 1.0, 0.0])
    X = _beta_features(p)
    coef = fit_logistic(X, y, weight=weight, prior=identity, penalty=np.full(3, prior_weight))
    if coef[:2].min() < 0.0:  # not monotone: fall back to Platt's one slope
        platt = np.column_stack([X[:, 0] + X[:, 1], X[:, 2]])
        slope, shift = fit_logistic(
            platt, y, weight=weight, prior=np.array([1.0, 0.0]), penalty=np.full(2, prior_weight)
        )
        coef = np.array([max(slope, 0.0), max(slope, 0.0), shift])
    return BetaCalibrator(coef)


def fit_isotonic(p: FloatArray, y: FloatArray, weight: FloatArray) -> IsotonicCalibrator:
    """Pool adjacent violators over equal-mass bins, join the centres, shrink towards the identity.

    What is calibrated already is best left alone: the steps of an isotonic fit are then noise, and
    noise in a slope scales the very differences that a router decides by. So the map is moved from
    the identity only by the James-Stein share of what the bins miss by, ``1 - (B - 2) / chi2``,
    with ``chi2`` the sum of squared misses of the B bins in standard errors.

    Parameters
    ----------
    p, y, weight : shape (n,)

    References
    ----------
    .. [1] James and Stein, "Estimation with Quadratic Loss", Berkeley Symposium 1961.
    """
    edges = np.quantile(p, np.linspace(0.0, 1.0, _MAX_KNOTS + 1)[1:-1])
    code = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)[1]
    mass = np.bincount(code, weight)
    x = np.bincount(code, weight * p) / mass
    value = np.bincount(code, weight * y) / mass
    noise = np.bincount(code, (weight * (y - p - (value - x)[code])) ** 2) / mass**2
    blocks: list[list[float]] = []  # mass, centre, value
    for m, centre, level in zip(mass, x, value, strict=True):
        blocks.append([m, centre, level])
        while len(blocks) > 1 and (
            blocks[-2][2] >= blocks[-1][2] or blocks[-1][1] - blocks[-2][1] < _MIN_GAP
        ):
            m2, x2, v2 = blocks.pop()
            m1, x1, v1 = blocks.pop()
            total = m1 + m2
            blocks.append([total, (m1 * x1 + m2 * x2) / total, (m1 * v1 + m2 * v2) / total])
    centres = np.array([block[1:] for block in blocks]).T
    at, mapped = _with_ends(centres, p)
    share = _james_stein(value - x, noise)
    return IsotonicCalibrator(np.stack([at, (1.0 - share) * at + share * mapped]))


def _james_stein(missed: FloatArray, noise: FloatArray) -> float:
    """Share of what bins miss by that is more than noise, in [0, 1]; all of it for one or two."""
    if len(missed) <= 2:
        return 1.0
    chi2 = float((missed**2 / np.maximum(noise, 1e-12)).sum())
    return max(0.0, 1.0 - (len(missed) - 2) / max(chi2, 1e-12))


def calibrator_from_array(array: FloatArray) -> Calibrator:
    """Rebuild from ``calibrator.array``."""
    return BetaCalibrator(array) if array.ndim == 1 else IsotonicCalibrator(array)


def _with_ends(centres: FloatArray, p: FloatArray) -> FloatArray:
    """Continue the outer lines to the smallest and largest prediction seen, inside [0, 1]."""
    x, value = centres
    if len(x) == 1:
        return np.clip(centres, 0.0, 1.0)
    slope = np.diff(value) / np.diff(x)
    low, high = min(float(p.min()), x[0]), max(float(p.max()), x[-1])
    ends = [value[0] - slope[0] * (x[0] - low), value[-1] + slope[-1] * (high - x[-1])]
    knots = np.array([[low, *x, high], np.clip([ends[0], *value, ends[1]], 0.0, 1.0)])
    return knots[:, np.concatenate([np.diff(knots[0]) > 1e-6, [True]])]


def _beta_features(p: FloatArray) -> FloatArray:
    q = np.clip(np.asarray(p, dtype=float), EPSILON, 1.0 - EPSILON)
    return np.stack([np.log(q), -np.log1p(-q), np.ones(q.shape)], axis=-1)
