"""Adam, for dense arrays and for the rows of a table that a step touches."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray, IntArray

_FIRST: Final = 0.9
_SECOND: Final = 0.999
_EPSILON: Final = 1e-8


class Adam:
    r"""One array and its moments.

    .. math:: \theta \leftarrow \theta - \alpha \,
              \frac{\hat m}{\sqrt{\hat v} + \epsilon}, \quad
              \hat m, \hat v \text{ bias-corrected running means of } g, g^2

    Parameters
    ----------
    value : the start; changed in place
    learning_rate : :math:`\alpha`

    References
    ----------
    .. [1] Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Examples
    --------
    >>> weight = Adam(np.array([1.0, 1.0]), 0.1)
    >>> weight.step(np.array([4.0, -0.5]))
    >>> weight.value.round(6)
    array([0.9, 1.1])
    """

    def __init__(self, value: FloatArray, learning_rate: float) -> None:
        self.value = value
        self.learning_rate = learning_rate
        self._first, self._second = np.zeros_like(value), np.zeros_like(value)
        self._steps = 0

    def step(self, gradient: FloatArray, rate: float = 1.0, rows: IntArray | None = None) -> None:
        """Go one step at ``rate`` times the learning rate.

        With ``rows``, ``gradient`` is of these distinct rows alone; the moments of all others
        rest, as in lazy Adam.
        """
        where = slice(None) if rows is None else rows
        self._steps += 1
        first = _FIRST * self._first[where] + (1.0 - _FIRST) * gradient
        second = _SECOND * self._second[where] + (1.0 - _SECOND) * gradient**2
        self._first[where], self._second[where] = first, second
        scale = np.sqrt(1.0 - _SECOND**self._steps) / (1.0 - _FIRST**self._steps)
        self.value[where] -= (
            self.learning_rate * rate * scale * first / (np.sqrt(second) + _EPSILON)
        )
