"""The whole learned part of a router: quality, token and latency estimators, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from router_ml.estimators.amounts import AmountEstimator
from router_ml.estimators.base import Estimator, State, load_estimator
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import PARTS, Predictions
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known of n queries and K candidates; NaN where it is not, all of shape (n, K).

    Parameters
    ----------
    quality : in [0, 1]
    input_tokens, output_tokens : >= 0
    latency_ms : >= 0
    weight : of the quality cells, shape (n, K), optional
    """

    quality: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    weight: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.quality)

    def take(self, index: IntArray | BoolArray) -> Outcomes:
        """Rows by position or by mask."""
        return replace(
            self,
            **{part: getattr(self, part)[index] for part in PARTS},
            weight=None if self.weight is None else self.weight[index],
        )


class RouterEstimator:
    """Fits one estimator a part and predicts all four.

    Parameters
    ----------
    quality : any estimator of quality
    input_tokens, output_tokens, latency_ms : estimators of means; the defaults are
        :class:`router_ml.estimators.amounts.AmountEstimator` with the link that suits each
    """

    def __init__(
        self,
        *,
        quality: Estimator,
        input_tokens: Estimator | None = None,
        output_tokens: Estimator | None = None,
        latency_ms: Estimator | None = None,
    ) -> None:
        self.quality = quality
        self.input_tokens = input_tokens or AmountEstimator(link="identity")
        self.output_tokens = output_tokens or AmountEstimator(link="log")
        self.latency_ms = latency_ms or AmountEstimator(link="log")

    def fit(
        self,
        queries: QueryBatch,
        outcomes: Outcomes,
        *,
        candidates: CandidateTable,
        groups: IntArray | None = None,
    ) -> Self:
        """Fit all parts; only quality uses ``outcomes.weight``.

        An amount that no request tells, such as a latency that was not logged, is predicted as 0.
        """
        for part in PARTS:
            Y = getattr(outcomes, part)
            if part != "quality" and np.isnan(Y).all():
                Y = np.zeros(Y.shape)
            getattr(self, part).fit(
                queries,
                Y,
                candidates=candidates,
                sample_weight=outcomes.weight if part == "quality" else None,
                groups=groups,
            )
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> Predictions:
        """Predictions, arrays of shape (n, K)."""
        parts = {part: getattr(self, part).predict(queries, candidates) for part in PARTS}
        return Predictions(**parts)

    def get_state(self) -> State:
        """One child a part."""
        children = {part: getattr(self, part).get_state() for part in PARTS}
        return State(name="router", children=children)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted router."""
        return cls(**{part: load_estimator(state.children[part]) for part in PARTS})


def count_bias(predicted: FloatArray, observed: FloatArray) -> FloatArray:
    """Relative bias of a mean per candidate, shape (K,): predicted over observed, less one.

    Parameters
    ----------
    predicted : shape (n, K)
    observed : shape (n, K), NaN where unobserved; NaN in the result where nothing was observed

    Examples
    --------
    >>> count_bias(np.array([[1.1, 2.0]]), np.array([[1.0, np.nan]])).round(3).tolist()
    [0.1, nan]
    """
    known = ~np.isnan(observed)
    total = np.where(known, observed, 0.0).sum(axis=0)
    guess = np.where(known, predicted, 0.0).sum(axis=0)
    ratio: FloatArray = np.divide(guess, total, out=np.full(len(total), np.nan), where=total > 0)
    return ratio - 1.0
