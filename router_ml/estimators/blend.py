"""What a stack learns about its members: weights and a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from router_ml.estimators.calibration import (
    Calibrator,
    IsotonicCalibrator,
    calibrator_from_array,
    fit_calibrator,
)
from router_ml.estimators.cross_fitting import advantage, squared_errors
from router_ml.estimators.effects import split_effects, split_predictions
from router_ml.types.arrays import FloatArray, IntArray

IDENTITY: Final = IsotonicCalibrator(np.array([[0.0, 1.0], [0.0, 1.0]]))


@dataclass(frozen=True, slots=True)
class Blend:
    r"""Members' predictions to one quality.

    .. math:: q_{ik} = g\Bigl(\ell_k + \sum_m a_m \hat c^{(m)}_i + b_m \hat d^{(m)}_{ik}\Bigr)

    with :math:`\hat c` a member's common part and :math:`\hat d` its contrasts about the levels.

    Parameters
    ----------
    level : :math:`\ell`, of the constants, shape (K,)
    weights : :math:`(a_m, b_m)` by member, >= 0
    calibrator : :math:`g`
    contrast_z : standard errors by which contrasts lower the held-out squared error
    """

    level: FloatArray
    weights: Mapping[str, tuple[float, float]]
    calibrator: Calibrator
    contrast_z: float = 0.0

    @classmethod
    def fit(
        cls,
        held_out: Mapping[str, FloatArray],
        Y: FloatArray,
        weight: FloatArray,
        groups: IntArray,
        *,
        min_z: float,
        calibrate: bool = True,
    ) -> Self:
        """Solve for weights, drop contrasts that do not earn their place, and calibrate.

        Parameters
        ----------
        held_out : out-of-fold predictions by member, shape (n, K)
        Y, weight : shape (n, K); weight is zero where Y is unknown
        groups : int codes, shape (n,)
        min_z : contrasts are kept when they lower the squared error by so many standard errors
        """
        from scipy.optimize import nnls

        level = split_effects(Y, weight > 0, weight).level
        names = list(held_out)
        seen = weight > 0
        parts = [split_predictions(held_out[name], level) for name in names]
        design = [np.broadcast_to(common, Y.shape)[seen] for common, _ in parts]
        design += [contrast[seen] for _, contrast in parts]
        root = np.sqrt(weight[seen])
        A = np.column_stack(design) * root[:, None]
        b = (Y - level)[seen] * root
        # nnls wants few rows: the triangle of A's QR has the same least squares.
        R = np.linalg.qr(np.column_stack([A, b]))[1]
        solved = nnls(R[:, :-1], R[:, -1])[0]
        both = {
            name: (float(solved[j]), float(solved[j + len(names)])) for j, name in enumerate(names)
        }
        flat = {name: (a, 0.0) for name, (a, _) in both.items()}
        errors = [
            squared_errors(cls(level, w, IDENTITY).combine(held_out), Y, weight)
            for w in (both, flat)
        ]
        _, z = advantage(errors[0], errors[1], groups)
        weights = both if z >= min_z else flat
        calibrator: Calibrator = IDENTITY
        if calibrate:
            combined = cls(level, weights, IDENTITY).combine(held_out)
            calibrator = fit_calibrator(combined, Y, weight)
        return cls(level, weights, calibrator, z)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, FloatArray],
        weights: Mapping[str, tuple[float, float]],
        contrast_z: float,
    ) -> Self:
        """Rebuild from :attr:`arrays`, ``weights`` and ``contrast_z``."""
        return cls(
            level=arrays["level_"],
            weights={name: (a, b) for name, (a, b) in weights.items()},
            calibrator=calibrator_from_array(arrays["calibrator_"]),
            contrast_z=contrast_z,
        )

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """Levels and calibration."""
        return {"level_": self.level, "calibrator_": self.calibrator.array}

    @property
    def members(self) -> list[str]:
        """Members of any weight."""
        return [name for name, pair in self.weights.items() if pair != (0.0, 0.0)]

    def predict(self, predictions: Mapping[str, FloatArray], n: int | None = None) -> FloatArray:
        """Calibrated blend, shape (n, K), in [0, 1]; ``n`` is needed where there is no member."""
        quality: FloatArray = np.clip(self.calibrator(self.combine(predictions, n)), 0.0, 1.0)
        return quality

    def combine(self, predictions: Mapping[str, FloatArray], n: int | None = None) -> FloatArray:
        """Blend of members' predictions about the levels, before calibration, shape (n, K)."""
        rows = len(next(iter(predictions.values()))) if n is None else n
        left = np.zeros((rows, len(self.level)))
        for name, quality in predictions.items():
            common, contrast = split_predictions(quality, self.level)
            a, b = self.weights[name]
            left += a * common + b * contrast
        return np.clip(self.level + left, 0.0, 1.0)


def cross_fitted_blend(
    held_out: Mapping[str, FloatArray],
    Y: FloatArray,
    weight: FloatArray,
    groups: IntArray,
    folds: IntArray,
    *,
    min_z: float,
    calibrate: bool = True,
) -> FloatArray:
    """Each fold by levels, weights and calibration of the others, shape (n, K)."""
    quality = np.empty(Y.shape)
    for fold in np.unique(folds):
        others, mine = folds != fold, folds == fold
        blend = Blend.fit(
            {name: q[others] for name, q in held_out.items()},
            Y[others],
            weight[others],
            groups[others],
            min_z=min_z,
            calibrate=calibrate,
        )
        quality[mine] = blend.predict({name: q[mine] for name, q in held_out.items()})
    return quality
