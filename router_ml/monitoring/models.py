r"""How the outcomes of a stream scatter around what was predicted, and what a shift does to them.

A model recalibrates predictions on a baseline and gives log-likelihood ratios of later outcomes,
one column a hypothesis. A hypothesis is an alternative with the baseline that it departs from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from scipy.special import expit, logit, ndtri

from router_ml.monitoring.alternatives import Alternative
from router_ml.types.arrays import FloatArray

_CLIP: Final = 0.02
_NEWTON: Final = 4
_MOST_REFERENCE: Final = 2_048
_LEAST_STD: Final = 0.05


class Model(Protocol):
    """Outcomes given predictions; subclasses hold what a baseline teaches."""

    n_params: int
    n_least: int

    def baseline(self, predicted: FloatArray, observed: FloatArray) -> tuple[FloatArray, float]:
        """Parameters of the outcomes so far, shape (n_params,), and how much they tell of them."""
        ...

    def ratios(
        self,
        params: FloatArray,
        predicted: FloatArray,
        observed: FloatArray,
        grown: FloatArray,
        shift: FloatArray,
        kept: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Log-likelihood ratios and information of n outcomes under E hypotheses, (n, E) each.

        Parameters
        ----------
        params : shape (E, n_params)
        grown : share of the change that is there, shape (n, E)
        shift, kept : of the alternatives, shape (E,)
        """
        ...

    def state(self) -> dict[str, Any]:
        """Arrays that :meth:`load` takes."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        ...


class BinaryModel:
    r"""Outcomes of 0 or 1 with a predicted probability, recalibrated by a logistic regression.

    .. math:: m = \sigma(a + b \operatorname{logit} q), \qquad
              m' = \kappa\, \sigma(\operatorname{logit} m + \eta)

    ``a`` and ``b`` are shrunk to ``centre`` and 1.

    Parameters
    ----------
    centre : log-odds added to a prediction before anything is known
    std : prior standard deviation of that
    """

    n_params = 2
    n_least = 0

    def __init__(self, *, centre: float = 0.0, std: float = 0.3) -> None:
        self.centre = centre
        self.std = std

    def baseline(self, predicted: FloatArray, observed: FloatArray) -> tuple[FloatArray, float]:
        """See :class:`Model`."""
        x = logit(np.clip(predicted, _CLIP, 1.0 - _CLIP))
        precision = np.array([self.std**-2, 16.0])
        prior = np.array([self.centre, 1.0])
        X, beta = np.column_stack([np.ones(len(x)), x]), prior.copy()
        for _ in range(_NEWTON if len(x) else 0):
            m = expit(X @ beta)
            w = np.maximum(m * (1.0 - m), 1e-6)
            gradient = X.T @ (observed - m) - precision * (beta - prior)
            hessian = (X * w[:, None]).T @ X + np.diag(precision)
            beta = beta + np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        m = expit(X @ beta)
        return beta, float(precision[0] + (m * (1.0 - m)).sum())

    def ratios(
        self,
        params: FloatArray,
        predicted: FloatArray,
        observed: FloatArray,
        grown: FloatArray,
        shift: FloatArray,
        kept: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """See :class:`Model`."""
        x = logit(np.clip(predicted, _CLIP, 1.0 - _CLIP))
        at = params[:, 0] + x[:, None] * params[:, 1]
        m = expit(at)
        other = expit(at + grown * shift) * (1.0 - grown * (1.0 - kept))
        y = observed[:, None]
        seen = np.log((y * other + (1.0 - y) * (1.0 - other)) / (y * m + (1.0 - y) * (1.0 - m)))
        return seen, m * (1.0 - m)

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class ScoreModel:
    r"""Any other outcomes: residuals as normal scores of their ranks in the baseline.

    .. math:: z = \Phi^{-1}\Big(\frac{\#\{r_i < r\} + \tfrac12 \#\{r_i = r\} + \tfrac12}{n + 1}\Big)

    So neither heavy tails nor the unit matter; it is the conformal p-value of the residual against
    a baseline that is kept, and bets are on a shift of its normal score.

    Parameters
    ----------
    relative : whether residuals are logarithms of ratios, as of amounts, or differences
    """

    n_params = 3
    n_least = 30

    def __init__(self, *, relative: bool) -> None:
        self.relative = relative
        self.references: list[FloatArray] = []

    def residual(self, predicted: FloatArray, observed: FloatArray) -> FloatArray:
        """Shape (n,)."""
        if not self.relative:
            return observed - predicted
        value: FloatArray = np.log(np.maximum(observed, 1e-9) / np.maximum(predicted, 1e-9))
        return value

    def baseline(self, predicted: FloatArray, observed: FloatArray) -> tuple[FloatArray, float]:
        """See :class:`Model`; parameters are the reference's number, mean and spread of scores."""
        residual, known = self.residual(predicted, observed), self.references
        n = min(len(residual), _MOST_REFERENCE)
        if not known or n >= 2 * len(known[-1]):
            known.append(np.sort(residual[-n:]))
        z = _scores(known[-1], residual)
        return np.array([len(known) - 1, z.mean(), max(z.std(), _LEAST_STD)]), float(len(z))

    def ratios(
        self,
        params: FloatArray,
        predicted: FloatArray,
        observed: FloatArray,
        grown: FloatArray,
        shift: FloatArray,
        kept: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """See :class:`Model`."""
        residual = self.residual(predicted, observed)
        z = np.column_stack([_scores(reference, residual) for reference in self.references])
        u = (z[:, params[:, 0].astype(int)] - params[:, 1]) / params[:, 2]
        eta = grown * shift
        return eta * u - 0.5 * eta * eta, np.ones_like(u)

    def state(self) -> dict[str, Any]:
        """The references."""
        ends = np.cumsum([len(reference) for reference in self.references], dtype=int)
        return {"reference": np.concatenate([np.zeros(0), *self.references]), "ends": ends}

    def load(self, state: Mapping[str, Any]) -> None:
        """The references."""
        parts = np.split(state["reference"], state["ends"].astype(int))
        self.references = parts[:-1]


def _scores(reference: FloatArray, residual: FloatArray) -> FloatArray:
    below = np.searchsorted(reference, residual, "left")
    until = np.searchsorted(reference, residual, "right")
    z: FloatArray = ndtri((0.5 * (below + until) + 0.5) / (len(reference) + 1.0))
    return z


def hypotheses(alternatives: tuple[Alternative, ...]) -> dict[str, Any]:
    """Columns of the alternatives, each of shape (M,)."""
    total = sum(a.weight for a in alternatives)
    return {
        "shift": np.array([a.shift for a in alternatives]),
        "kept": np.array([a.kept for a in alternatives]),
        "ramp": np.array([max(a.ramp, 1) for a in alternatives], dtype=float),
        "spacing": np.array([a.spacing for a in alternatives]),
        "log_weight": np.log([a.weight / total for a in alternatives]),
    }
