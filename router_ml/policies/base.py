"""What every policy is: predictions in, a distribution over candidates and a ranking out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from router_ml.errors import ConfigError, InvalidRequestError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class Policy(ABC):
    """Maps predictions to ``action_probs``; numpy only, stateless once built.

    A policy is its constructor's keyword arguments: :meth:`to_dict` gives them and
    ``policies.from_dict`` builds it again, which is all that ``policy.json`` holds. Subclasses
    give scores (higher is better) and, when they randomise, override :meth:`_probabilities`.
    """

    name: ClassVar[str]

    @abstractmethod
    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Preference of every candidate, shape (n_samples, K); higher is better."""

    def action_probs(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        *,
        eligible: BoolArray | None = None,
    ) -> FloatArray:
        """Probability of every candidate, shape (n_samples, K); rows sum to one.

        Parameters
        ----------
        predictions : arrays of shape (n_samples, K)
        candidates : K candidates; their prices turn tokens into dollars
        eligible : bool array, shape (n_samples, K) or (K,), optional
            Candidates that may be chosen at all; others get probability zero.

        Raises
        ------
        InvalidRequestError
            If a row has no eligible candidate.
        """
        cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        allowed = _eligible(eligible, cost_usd.shape)
        return self._probabilities(predictions, candidates, cost_usd, allowed)

    def ranking(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        *,
        eligible: BoolArray | None = None,
    ) -> IntArray:
        """Candidate positions, best first, shape (n_samples, K); the ineligible come last."""
        cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        allowed = _eligible(eligible, cost_usd.shape)
        return rank(self.scores(predictions, candidates, cost_usd), cost_usd, allowed)

    def decide(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> tuple[FloatArray, IntArray]:
        """Both :meth:`action_probs` and :meth:`ranking`, from one look at costs and scores.

        Parameters
        ----------
        cost_usd : ``candidates.cost_usd`` of the predictions, shape (n_samples, K)
        allowed : bool array, shape (n_samples, K); every row has at least one
        """
        ranking = rank(self.scores(predictions, candidates, cost_usd), cost_usd, allowed)
        if type(self)._probabilities is Policy._probabilities:
            return one_hot(ranking[:, 0], allowed.shape), ranking
        return self._probabilities(predictions, candidates, cost_usd, allowed), ranking

    @property
    def weights(self) -> tuple[float, float]:
        """Quality per dollar and per millisecond that a ranking's utility is stated in."""
        return 0.0, 0.0

    @property
    def reason(self) -> str:
        """One clause for a person: why this policy picks what it picks."""
        return f"policy {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments, JSON-able."""
        return {"name": self.name, **{k: v for k, v in vars(self).items() if k[0] != "_"}}

    def _probabilities(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        scores = self.scores(predictions, candidates, cost_usd)
        return one_hot(rank(scores, cost_usd, allowed)[:, 0], allowed.shape)


def rank(scores: FloatArray, cost_usd: FloatArray, allowed: BoolArray) -> IntArray:
    """Order candidates by score; ties go to the cheaper, then to the lower index.

    All arrays have shape (n_samples, K). A NaN score counts as the worst.
    """
    # the sort is stable, which is the last tie-break, and puts NaN behind everything
    return np.lexsort((cost_usd, -scores, ~allowed), axis=1)


def one_hot(choice: IntArray, shape: tuple[int, ...]) -> FloatArray:
    """Probability one on each row's choice; ``shape`` is (n_samples, K)."""
    probs = np.zeros(shape)
    probs[np.arange(len(choice)), choice] = 1.0
    return probs


def _eligible(eligible: BoolArray | None, shape: tuple[int, ...]) -> BoolArray:
    if eligible is None:
        return np.ones(shape, dtype=bool)
    allowed = np.broadcast_to(eligible, shape)
    empty = ~allowed.any(axis=1)
    if empty.any():
        raise InvalidRequestError(
            f"every request needs at least one eligible candidate; row {int(np.argmax(empty))} "
            "has none: relax its constraints"
        )
    return allowed


def with_least(probs: FloatArray, least: Sequence[float], allowed: BoolArray) -> FloatArray:
    """A distribution in which every allowed candidate has its least probability.

    Least probabilities that sum to more than one are scaled to one.

    Parameters
    ----------
    probs : shape (n_samples, K)
    least : K numbers in [0, 1]
    allowed : bool array, shape (n_samples, K)

    Examples
    --------
    >>> with_least(np.array([[1.0, 0.0]]), (0.0, 0.1), np.ones((1, 2), dtype=bool)).tolist()
    [[0.9, 0.1]]
    """
    floor = np.where(allowed, least, 0.0)
    floor /= np.maximum(floor.sum(axis=1, keepdims=True), 1.0)
    share = 1.0 - floor.sum(axis=1, keepdims=True)
    mixed: FloatArray = np.where(allowed, share * probs + floor, 0.0)
    mixed /= mixed.sum(axis=1, keepdims=True)
    return mixed


def check_trial(trial: Mapping[str, float] | None) -> dict[str, float]:
    """Candidates to least probabilities; ConfigError where one is no probability."""
    if wrong := {n: p for n, p in (trial or {}).items() if not 0.0 <= p <= 1.0}:
        raise ConfigError(f"trial must be probabilities in [0, 1], got {wrong}")
    return dict(trial or {})
