"""Is a predicted quality of 0.8 right four times in five? ECE, its debiased form, Brier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.types.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Reliability:
    """Data of a reliability diagram; arrays of shape (n_bins,).

    Parameters
    ----------
    predicted, observed : mean prediction and mean quality of each bin
    count : rows in each bin
    """

    predicted: FloatArray
    observed: FloatArray
    count: IntArray


def reliability(predicted: FloatArray, observed: FloatArray, *, n_bins: int = 10) -> Reliability:
    """Bin pooled predictions into equal-mass bins; ties stay in one bin, NaN labels are skipped.

    Parameters
    ----------
    predicted, observed : float arrays of one shape, (n,) or (n, K), in [0, 1]
    """
    p, y, _ = _pooled(predicted, observed, None)
    code = _bins(p, n_bins)
    count = np.bincount(code)
    return Reliability(np.bincount(code, p) / count, np.bincount(code, y) / count, count)


def ece(predicted: FloatArray, observed: FloatArray, *, n_bins: int = 10) -> float:
    r"""Expected calibration error, pooled over candidates, equal-mass bins.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \left| \bar p_b - \bar y_b \right|

    Examples
    --------
    >>> round(ece(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0]), n_bins=2), 3)
    0.2
    """
    p, y, _ = _pooled(predicted, observed, None)
    return float(_ece(_bins(p, n_bins), p, y))


def ece_debiased(
    predicted: FloatArray,
    observed: FloatArray,
    *,
    n_bins: int = 10,
    n_simulations: int = 200,
    random_state: int = 0,
) -> float:
    """ECE less what a perfectly calibrated model would show by chance; may be below zero.

    The plug-in ECE is a mean of absolute values, so it is above zero even where predictions are
    the truth. That surplus is simulated: labels drawn from the predictions themselves. For labels
    that are not 0 or 1 the subtracted surplus is an upper bound.

    Parameters
    ----------
    predicted, observed : float arrays of one shape, (n,) or (n, K), in [0, 1]
    """
    p, y, _ = _pooled(predicted, observed, None)
    code = _bins(p, n_bins)
    rng = np.random.default_rng(random_state)
    chance = [_ece(code, p, (rng.random(len(p)) < p).astype(float)) for _ in range(n_simulations)]
    return float(_ece(code, p, y) - np.mean(chance))


def ece_estimate(
    predicted: FloatArray,
    observed: FloatArray,
    *,
    group_id: IntArray | None = None,
    n_bins: int = 10,
    n_resamples: int = 2_000,
    random_state: int = 0,
) -> Estimate:
    """ECE with a cluster-bootstrap interval; the bins are those of the full sample.

    Parameters
    ----------
    group_id : int array, shape (n,), one per row of ``predicted``
    """
    p, y, group = _pooled(predicted, observed, group_id)
    code = _bins(p, n_bins)
    onehot = np.eye(code.max() + 1)[code]
    (estimate,) = bootstrap(
        np.column_stack([onehot * (p - y)[:, None], np.ones(len(p))]),
        lambda total: (np.abs(total[..., :-1]).sum(axis=-1) / total[..., -1])[..., None],
        group_id=group,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return estimate


def brier(predicted: FloatArray, observed: FloatArray) -> float:
    """Mean squared error of predicted quality; NaN labels are skipped.

    Examples
    --------
    >>> round(brier(np.array([0.9, 0.4]), np.array([1.0, 0.0])), 3)
    0.085
    """
    p, y, _ = _pooled(predicted, observed, None)
    return float(np.mean((p - y) ** 2))


def _pooled(
    predicted: FloatArray, observed: FloatArray, group_id: IntArray | None
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    """Flat arrays of the labelled cells, with the group of each."""
    predicted, observed = np.asarray(predicted, float), np.asarray(observed, float)
    if predicted.shape != observed.shape:
        raise SchemaError(
            f"predictions and labels must have one shape, got {predicted.shape} and "
            f"{observed.shape}"
        )
    seen = ~np.isnan(observed)
    if not seen.any():
        raise DataError("calibration needs at least one label, got none")
    group = None
    if group_id is not None:
        wide = np.asarray(group_id).reshape(-1, *(1,) * (predicted.ndim - 1))
        group = np.broadcast_to(wide, predicted.shape)[seen]
    return predicted[seen], observed[seen], group


def _bins(p: FloatArray, n_bins: int) -> IntArray:
    """Bin of every prediction, numbered without gaps."""
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, n_bins + 1)))
    code = np.searchsorted(edges[1:-1], p, side="right")
    return np.unique(code, return_inverse=True)[1]


def _ece(code: IntArray, p: FloatArray, y: FloatArray) -> float:
    return float(np.abs(np.bincount(code, weights=p - y)).sum() / len(p))
