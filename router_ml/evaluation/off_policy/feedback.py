"""The log as off-policy estimators see it: who served, how likely that was, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from router_ml.errors import OverlapError, SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class LoggedFeedback:
    """Partial feedback of n requests on one outcome (quality, cost, or utility).

    Parameters
    ----------
    action : int array, shape (n,), candidate that served
    propensity : float array, shape (n,), in (0, 1]: its probability under the behaviour policy
    outcome : float array, shape (n,), NaN where there is no label
    label_prob : float array, shape (n,), in (0, 1], optional
        Probability that the row would be labelled, given what is logged; default: always.
    group_id : int array, shape (n,), optional
        The independent unit; default: the row.
    propensity_source : ``logged`` or ``estimated``; the latter is repeated as a warning

    Examples
    --------
    >>> log = LoggedFeedback(np.array([0, 1]), np.array([0.5, 0.5]), np.array([1.0, np.nan]))
    >>> log.labelled.tolist()
    [True, False]
    """

    action: IntArray
    propensity: FloatArray
    outcome: FloatArray
    label_prob: FloatArray = field(default_factory=lambda: np.zeros(0))
    group_id: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    propensity_source: str = "logged"

    def __post_init__(self) -> None:
        n = len(self.action)
        if len(self.label_prob) == 0:
            object.__setattr__(self, "label_prob", np.ones(n))
        if len(self.group_id) == 0:
            object.__setattr__(self, "group_id", np.arange(n))
        sizes = {
            name: len(getattr(self, name))
            for name in ("propensity", "outcome", "label_prob", "group_id")
        }
        wrong = {name: size for name, size in sizes.items() if size != n}
        if wrong or n == 0:
            raise SchemaError(f"every column of a log must have {n} > 0 rows, got {wrong or 0}")
        for name in ("propensity", "label_prob"):
            value = getattr(self, name)
            bad = ~((value > 0) & (value <= 1))
            if bad.any():
                row = int(np.argmax(bad))
                raise OverlapError(
                    f"{name} must be in (0, 1], got {value[row]} in row {row}; a served candidate "
                    "had a positive probability, so repair the log or drop the row"
                )

    def __len__(self) -> int:
        return len(self.action)

    @property
    def labelled(self) -> BoolArray:
        """Rows whose outcome is known, shape (n,)."""
        return ~np.isnan(self.outcome)

    def weights(self, action_probs: FloatArray) -> FloatArray:
        r"""Importance weights :math:`\pi(a_i|x_i) / (p_i\, e_i)` of labelled rows, else 0.

        Parameters
        ----------
        action_probs : float array, shape (n, K), of the evaluation policy

        Returns
        -------
        float array, shape (n,)
        """
        if len(action_probs) != len(self):
            raise SchemaError(f"action_probs must have {len(self)} rows, got {len(action_probs)}")
        chosen = action_probs[np.arange(len(self)), self.action]
        ratio: FloatArray = chosen / (self.propensity * self.label_prob) * self.labelled
        return ratio

    @property
    def filled(self) -> FloatArray:
        """Outcomes with 0 where there is no label; such rows have weight 0."""
        return np.where(self.labelled, self.outcome, 0.0)
