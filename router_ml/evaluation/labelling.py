"""Which requests to judge next, and what so many labels would tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

_PRIOR_ROWS = 10.0
"""Labels that the largest possible spread of a cell counts as: without a label it is that."""


def sampling_probs(score: FloatArray, budget: float, *, floor: float = 0.1) -> FloatArray:
    r"""Probability with which each of n requests is drawn: Neyman allocation with a floor.

    .. math:: \ell_i = \min\bigl(1, c\,((1 - f) s_i / \bar s + f)\bigr), \qquad
              \textstyle\sum_i \ell_i = b

    With :math:`s_i` the standard deviation that a missing label adds to an estimate,
    :math:`\ell \propto s` minimises :math:`\sum_i s_i^2 / \ell_i` for a budget. The floor keeps
    every request possible, so that other questions may be asked of the same labels.

    Parameters
    ----------
    score : float array, shape (n,), >= 0
    budget : labels on average, > 0
    floor : share of the budget that is spread evenly, in (0, 1]

    Raises
    ------
    SchemaError
        If a score is negative or not finite, or an option is out of range.

    References
    ----------
    .. [1] Neyman, "On the Two Different Aspects of the Representative Method", JRSS 97, 1934.
    .. [2] Zrnic and Candès, "Active Statistical Inference", ICML 2024.

    Examples
    --------
    >>> sampling_probs(np.array([0.0, 1.0, 3.0]), 1.0, floor=0.25).round(3).tolist()
    [0.083, 0.271, 0.646]
    """
    if not (np.isfinite(score) & (score >= 0.0)).all():
        raise SchemaError("scores must be finite and >= 0")
    if not 0.0 < floor <= 1.0 or not budget > 0.0:
        raise SchemaError(f"expected floor in (0, 1] and budget > 0, got {floor} and {budget}")
    if budget >= len(score):
        return np.ones(len(score))
    mean = float(score.mean())
    share = (1.0 - floor) * score / mean + floor if mean > 0.0 else np.ones(len(score))
    certain = np.zeros(len(score), dtype=bool)
    while True:  # what would be above one is certain; the rest share what is left
        left = budget - certain.sum()
        probs = np.where(certain, 1.0, share * left / share[~certain].sum())
        if not (more := (probs > 1.0) & ~certain).any():
            return probs
        certain |= more


def label_spread(log: LoggedFeedback, guess: FloatArray, region: IntArray) -> FloatArray:
    """Standard deviation of a label about its guess, by region and candidate, shape (n,).

    Labelled residuals of the cell, shrunk towards one half, the largest that a label in [0, 1] can
    have: where there is no label nothing is known.

    Parameters
    ----------
    guess : predicted quality, shape (n, K)
    region : int array, shape (n,)
    """
    mine = guess[np.arange(len(log)), log.action]
    cell = region * guess.shape[1] + log.action
    cells = int(cell.max(initial=0)) + 1
    seen = log.labelled
    squares = (log.outcome[seen] - mine[seen]) ** 2
    total = np.bincount(cell[seen], squares, minlength=cells) + _PRIOR_ROWS * 0.25
    spread = np.sqrt(total / (np.bincount(cell[seen], minlength=cells) + _PRIOR_ROWS))
    of_row: FloatArray = spread[cell]
    return of_row


@dataclass(frozen=True, slots=True)
class LabelValue:
    """What labels would do for the doubly robust difference of two policies on n requests.

    Parameters
    ----------
    weight : of a residual in the difference: new minus old policy over propensity, shape (n,)
    spread : standard deviation of a label about its guess, shape (n,)
    labelled : requests that have a label, shape (n,)
    guessed : difference of the two policies by what is guessed, shape (n,)
    open : requests that can be labelled, shape (n,)
    """

    weight: FloatArray
    spread: FloatArray
    labelled: BoolArray
    guessed: FloatArray
    open: BoolArray

    @property
    def score(self) -> FloatArray:
        """Standard deviation that each request's missing label adds, shape (n,)."""
        score: FloatArray = np.abs(self.weight) * self.spread
        return score

    def probs(self, budget: float, *, floor: float = 0.1) -> FloatArray:
        """Probability of every request to be drawn; 0 where it cannot be.

        Raises
        ------
        DataError
            If no request is left to label.
        """
        if not self.open.any():
            raise DataError("every request has a label, or no answer to judge")
        found = np.zeros(len(self.weight))
        found[self.open] = sampling_probs(self.score[self.open], budget, floor=floor)
        return found

    def standard_error(self, probs: FloatArray) -> float:
        r"""Of the mean difference once labels were drawn so, the old ones standing for themselves.

        .. math:: \frac1n \Bigl(\sum_i s_i^2 / \ell_i + n\,\mathrm{Var}(\hat d)\Bigr)^{1/2}

        Requests that can never be labelled are taken to be as those that can, so their share of
        the draw is scaled.
        """
        n = len(self.weight)
        missing = ~self.labelled
        share = self.open.sum() / max(int(missing.sum()), 1)
        residual = (self.score[self.labelled] ** 2).sum()
        residual += (self.score[self.open] ** 2 / probs[self.open]).sum() / max(share, 1 / n) ** 2
        return float(np.sqrt(residual + n * self.guessed.var()) / n)
