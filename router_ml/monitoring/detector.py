r"""An e-detector of one stream: how much evidence there is that it changed, at any moment.

For every alternative and every moment at which it may have begun, a likelihood ratio bets on the
outcomes since; their mixture is an e-process,

.. math:: E_t = \sum_m \pi_m \sum_j w_j
          \exp\Big(\frac{I_{<j}}{I_{<j} + I_{j:t}} \sum_{i=j}^t \log\frac{p_m(y_i)}{p_0(y_i)}\Big),

so that by Ville's inequality it exceeds :math:`1/\alpha` ever, on a stream that does not change,
with probability :math:`\alpha` at most. What :math:`p_0` is, is known from the :math:`I_{<j}`
(Fisher information) of outcomes before the change; with normal outcomes the exponent is exactly the
log-likelihood ratio of the maximal invariant under unknown location [2]_. The weights of beginnings
are :math:`w_j \propto 1 / (j + j_0) \log^2(j + j_0)`, which sum to one over infinite time.

References
----------
.. [1] Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change
   detection", New England Journal of Statistics in Data Science, 2024.
.. [2] Pérez-Ortiz, Lardy, de Heide and Grünwald, "E-statistics, group invariance and anytime-valid
   testing", Annals of Statistics, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.monitoring.alternatives import Alternative
from router_ml.monitoring.models import Model, hypotheses
from router_ml.types.arrays import FloatArray

_DELAY: Final = 20.0
"""j_0: about as many beginnings are equally likely at first."""
_KEPT: Final = 16
"""Beginnings of an alternative that are followed; the least promising is dropped, which loses
evidence and never adds any."""
_MOST_BASELINE: Final = 8_000
"""Latest outcomes that a baseline is fitted to."""
_BLOCK: Final = 50
"""Outcomes between two looks at the baseline."""
_REFIT: Final = 1.04
"""A baseline is fitted again once there are so many times more outcomes."""
_ARRAYS: Final = ("predicted", "observed", "_which", "_begun", "_log_prior", "_params", "_sum",
                  "_before", "_since")  # fmt: skip


class ShiftDetector:
    """Sequential test of one stream.

    Parameters
    ----------
    model : of its outcomes
    alternatives : that are bet on

    Attributes
    ----------
    log_e : natural logarithm of the e-process now
    n : outcomes so far
    predicted, observed : the latest of them

    Examples
    --------
    >>> from router_ml.monitoring.alternatives import FALLING
    >>> from router_ml.monitoring.models import BinaryModel
    >>> rng, predicted = np.random.default_rng(0), np.full(500, 0.8)
    >>> detector = ShiftDetector(model=BinaryModel(), alternatives=FALLING)
    >>> bool(detector.update(predicted, (rng.random(500) < 0.8).astype(float)).max() < 3.0)
    True
    >>> bool(detector.update(predicted[:60], (rng.random(60) < 0.3).astype(float)).max() > 10.0)
    True
    """

    def __init__(self, *, model: Model, alternatives: tuple[Alternative, ...]) -> None:
        self.model = model
        self.log_e = -math.inf
        self.n = 0
        self._of = hypotheses(alternatives)
        self.predicted = np.zeros(0)
        self.observed = np.zeros(0)
        self._clear()

    def _clear(self) -> None:
        self._fit: tuple[int, FloatArray, float] | None = None
        self._which = np.zeros(0, dtype=int)
        self._begun = np.zeros(0, dtype=int)
        self._log_prior = np.zeros(0)
        self._params = np.zeros((0, self.model.n_params))
        self._sum = np.zeros(0)
        self._before = np.zeros(0)
        self._since = np.zeros(0)

    def update(self, predicted: FloatArray, observed: FloatArray) -> FloatArray:
        """Take outcomes in their order; the logarithm of the e-process after each, shape (n,).

        Parameters
        ----------
        predicted, observed : finite, shape (n,)
        """
        out = np.full(len(predicted), -np.inf)
        at = 0
        while at < len(predicted):
            if self.n % _BLOCK == 0:
                self._begin()
            end = min(len(predicted), at + _BLOCK - self.n % _BLOCK)
            out[at:end] = self._follow(predicted[at:end], observed[at:end])
            at = end
        return out

    def _begin(self) -> None:
        """Changes may begin within the next block; their baseline is what is known now."""
        if self.n < self.model.n_least:
            return
        if self._fit is None or self.n >= _REFIT * self._fit[0]:
            self._fit = (self.n, *self.model.baseline(self.predicted, self.observed))
        _, params, info = self._fit
        spacing = self._of["spacing"]
        moments = [np.arange(-(-self.n // s) * s, self.n + _BLOCK, s) for s in spacing]
        which = np.repeat(np.arange(len(spacing)), [len(some) for some in moments])
        begun = np.concatenate(moments)
        number = begun // spacing[which] + _DELAY
        prior = -np.log(number) - 2.0 * np.log(np.log(number)) + math.log(math.log(_DELAY))
        k = len(which)
        new = (which, begun, prior + self._of["log_weight"][which],
               np.tile(params, (k, 1)), np.zeros(k), np.full(k, info), np.zeros(k))  # fmt: skip
        for name, values in zip(_ARRAYS[2:], new, strict=True):
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        if len(self._which) > _KEPT * len(self._of["spacing"]):
            self._drop()

    def _drop(self) -> None:
        value = self._log_prior + self._shrunk(self._sum, self._since)
        keep = np.zeros(len(value), dtype=bool)
        for m in range(len(self._of["spacing"])):
            mine = np.flatnonzero(self._which == m)
            keep[mine[np.argsort(-value[mine], kind="stable")[: _KEPT // 2]]] = True
            keep[mine[-_KEPT // 2 :]] = True
        for name in _ARRAYS[2:]:
            setattr(self, name, getattr(self, name)[keep])

    def _shrunk(self, total: FloatArray, since: FloatArray) -> FloatArray:
        value: FloatArray = total * self._before / np.maximum(self._before + since, 1e-12)
        return value

    def _follow(self, predicted: FloatArray, observed: FloatArray) -> FloatArray:
        n = len(predicted)
        out = np.full(n, self.log_e)
        if len(self._which):
            age = self.n - self._begun + np.arange(1, n + 1)[:, None]
            ratio, info = self.model.ratios(
                self._params,
                predicted,
                observed,
                np.clip(age / self._of["ramp"][self._which], 0.0, 1.0),
                self._of["shift"][self._which],
                self._of["kept"][self._which],
            )
            started = age > 0
            total = self._sum + np.cumsum(ratio * started, axis=0)
            since = self._since + np.cumsum(info * started, axis=0)
            out = log_sum(self._log_prior + self._shrunk(total, since))
            self._sum, self._since = total[-1], since[-1]
            self.log_e = float(out[-1])
        self.predicted = np.concatenate([self.predicted, predicted])[-_MOST_BASELINE:]
        self.observed = np.concatenate([self.observed, observed])[-_MOST_BASELINE:]
        self.n += n
        return out

    def restart(self, keep: int) -> None:
        """Begin anew, with the latest ``keep`` outcomes as all that is known."""
        cut = len(self.predicted) - min(keep, len(self.predicted))
        self.predicted, self.observed = self.predicted[cut:], self.observed[cut:]
        self.n, self.log_e = len(self.predicted), -math.inf
        self._clear()

    def state(self) -> dict[str, Any]:
        """Arrays that :meth:`load` takes."""
        fit = (-1, np.zeros(self.model.n_params), 0.0) if self._fit is None else self._fit
        return {
            "n": np.array(self.n),
            "log_e": np.array(self.log_e),
            "fit": np.r_[fit[0], fit[2], fit[1]],
            **{name.lstrip("_"): getattr(self, name) for name in _ARRAYS},
            **self.model.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another detector of the same model and alternatives was."""
        self.n, self.log_e = int(state["n"]), float(state["log_e"])
        n, info, *params = state["fit"].tolist()
        self._fit = None if n < 0 else (int(n), np.array(params), info)
        for name in _ARRAYS:
            setattr(self, name, state[name.lstrip("_")])
        self.model.load(state)


def log_sum(values: FloatArray) -> FloatArray:
    """Logarithm of the sum of exponentials over the last axis; below -1e299 of nothing."""
    top = np.max(values, axis=-1, initial=-1e300)
    parts = np.exp(values - top[..., None]).sum(axis=-1)
    total: FloatArray = top + np.log(np.maximum(parts, 1e-300))
    return total
