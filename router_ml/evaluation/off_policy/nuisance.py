"""Cross-fitting, and small nuisance models: logistic, ridge, shrunk means. numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import expit

from router_ml.data.groups import group_folds, splits
from router_ml.errors import DataError
from router_ml.estimators.logistic import fit_logistic
from router_ml.types.arrays import FloatArray, IntArray

FitPredict = Callable[[IntArray, IntArray], FloatArray]
_PROB_FLOOR: Final = 1e-3


def cross_fit(
    group_id: IntArray, fit_predict: FitPredict, *, n_folds: int = 5, random_state: int = 0
) -> FloatArray:
    """Predict every row by a model that has not seen its group.

    Parameters
    ----------
    group_id : int array, shape (n,)
    fit_predict : called with (train rows, test rows); returns predictions of the test rows
    n_folds : number of folds

    Returns
    -------
    float array, shape (n, ...), as ``fit_predict`` returns
    """
    fold = group_folds(group_id, n_folds=n_folds, random_state=random_state)
    if fold.max(initial=-1) + 1 < n_folds:
        raise DataError(f"{n_folds} folds need as many groups, got {len(np.unique(group_id))}")
    out: FloatArray | None = None
    for train, test in splits(fold):
        part = fit_predict(train, test)
        if out is None:
            out = np.empty((len(fold), *part.shape[1:]))
        out[test] = part
    if out is None:
        raise DataError("there is no row to predict")
    return out


def shrunk_means(
    action: IntArray,
    outcome: FloatArray,
    n_candidates: int,
    *,
    weights: FloatArray | None = None,
    strength: float = 10.0,
) -> FloatArray:
    """Mean outcome of every candidate, pulled towards the overall mean, shape (K,).

    Parameters
    ----------
    outcome : float array, shape (n,), labelled
    strength : pseudo-rows at the overall mean

    Examples
    --------
    >>> shrunk_means(np.array([0, 0]), np.array([1.0, 1.0]), 2, strength=2.0)
    array([1., 1.])
    """
    weights = np.ones(len(action)) if weights is None else weights
    total = np.bincount(action, weights * outcome, minlength=n_candidates)
    count = np.bincount(action, weights, minlength=n_candidates)
    mean = total.sum() / count.sum()
    means: FloatArray = (total + strength * mean) / (count + strength)
    return means


def ridge(
    features: FloatArray, target: FloatArray, *, penalty: float, weights: FloatArray | None = None
) -> FloatArray:
    """Weighted ridge coefficients without intercept, shape (d,); the penalty counts in rows."""
    weighted = features if weights is None else features * weights[:, None]
    gram = weighted.T @ features
    gram[np.diag_indices_from(gram)] += penalty
    coefficients: FloatArray = np.linalg.solve(gram, weighted.T @ target)
    return coefficients


def outcome_model(
    features: FloatArray,
    action: IntArray,
    outcome: FloatArray,
    n_candidates: int,
    *,
    weights: FloatArray | None = None,
    strength: float = 3.0,
    shared_penalty: float = 30.0,
    own_penalty: float = 100.0,
) -> Callable[[FloatArray], FloatArray]:
    """Fit shrunk candidate means, a shared ridge on the query, and a shrunk ridge per candidate.

    A few hundred labels per candidate cannot carry a model each; what is hard for one candidate is
    mostly hard for all, so that part is shared, and only the rest is learned per candidate.

    Parameters
    ----------
    features : float array, shape (n, d), roughly standardised
    action, outcome : shape (n,), of labelled rows
    weights : float array, shape (n,), optional
        Importance weights :math:`1 / (p_i e_i)`, so that the fit aims at all queries and not at
        those the candidate happened to get; scaled to each candidate's effective sample size.
    strength, shared_penalty, own_penalty : how much is shrunk, in rows

    Returns
    -------
    Function from features (m, d) to predicted outcomes (m, K)
    """
    if weights is not None:
        total = np.bincount(action, weights, minlength=n_candidates)
        square = np.bincount(action, weights**2, minlength=n_candidates)
        weights = weights * (total / np.maximum(square, 1e-300))[action]
    mean = shrunk_means(action, outcome, n_candidates, weights=weights, strength=strength)
    residual = outcome - mean[action]
    shared = ridge(features, residual, penalty=shared_penalty, weights=weights)
    residual = residual - features @ shared
    own = np.zeros((features.shape[1], n_candidates))
    for k in range(n_candidates):
        rows = action == k
        if rows.any():
            weight = None if weights is None else weights[rows]
            own[:, k] = ridge(features[rows], residual[rows], penalty=own_penalty, weights=weight)

    def predict(new: FloatArray) -> FloatArray:
        value: FloatArray = mean + new @ (shared[:, None] + own)
        return value

    return predict


def estimate_label_prob(
    features: FloatArray,
    labelled: FloatArray,
    group_id: IntArray,
    *,
    n_folds: int = 5,
    penalty: float = 1.0,
) -> FloatArray:
    """Cross-fitted probability that a row is labelled, given what is logged, shape (n,).

    Parameters
    ----------
    features : float array, shape (n, d), of query and action, without intercept
    labelled : 0 or 1, shape (n,)
    """
    design = np.column_stack([np.ones(len(features)), features])
    target = np.asarray(labelled, dtype=float)
    n_folds = min(n_folds, len(np.unique(group_id)))
    if n_folds < 2:
        return np.full(len(target), max(float(target.mean()), _PROB_FLOOR))

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        probs: FloatArray = expit(design[test] @ _logistic(design[train], target[train], penalty))
        return probs

    probs = cross_fit(group_id, fit_predict, n_folds=n_folds)
    calibrated: FloatArray = np.clip(probs * (target.mean() / probs.mean()), _PROB_FLOOR, 1.0)
    return calibrated


def estimate_propensities(
    features: FloatArray,
    action: IntArray,
    n_candidates: int,
    group_id: IntArray,
    *,
    n_folds: int = 5,
    penalty: float = 1.0,
) -> FloatArray:
    """Cross-fitted, calibrated action probabilities of an unknown behaviour policy, shape (n, K).

    One logistic regression per candidate against the rest, normalised; then, per candidate, a
    factor that makes the mean probability the observed share (calibration in the large).
    """
    chosen = np.eye(n_candidates)[action]
    model = logistic_propensities(features, action, n_candidates, penalty=penalty)
    probs = cross_fit(group_id, model, n_folds=n_folds)
    for _ in range(20):  # iterative proportional fitting: shares, then rows
        probs *= chosen.mean(axis=0) / np.maximum(probs.mean(axis=0), 1e-12)
        probs /= probs.sum(axis=1, keepdims=True)
    clipped: FloatArray = np.clip(probs, _PROB_FLOOR / n_candidates, 1.0)
    return clipped


def logistic_propensities(
    features: FloatArray, action: IntArray, n_candidates: int, *, penalty: float = 1.0
) -> FitPredict:
    """Action probabilities by one logistic regression a candidate, for :func:`cross_fit`."""
    design = np.column_stack([np.ones(len(features)), features])
    chosen = np.eye(n_candidates)[action]

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        columns = [_logistic(design[train], chosen[train, k], penalty) for k in range(n_candidates)]
        odds: FloatArray = np.maximum(expit(design[test] @ np.stack(columns, axis=1)), 1e-6)
        odds /= odds.sum(axis=1, keepdims=True)
        return odds

    return fit_predict


def _logistic(design: FloatArray, target: FloatArray, penalty: float) -> FloatArray:
    """Ridge-penalised logistic regression; column 0, the intercept, is hardly penalised."""
    ridge = np.r_[1e-6, np.full(design.shape[1] - 1, penalty)]
    return fit_logistic(design, target, penalty=ridge)
