"""Mean quality per candidate, shrunk: what one knows without looking at the query."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from router_ml.estimators.base import Estimator, State, check_fit, columns
from router_ml.types import BoolArray, CandidateTable, FloatArray, IntArray, QueryBatch


class ConstantEstimator(Estimator):
    r"""Weighted mean of each candidate, pulled towards the mean of all.

    .. math:: \hat q_k = \frac{\sum_i w_{ik} y_{ik} + m \bar y}{\sum_i w_{ik} + m}

    Parameters
    ----------
    prior_weight : float, default=10.0
        :math:`m`, labels that the mean of all counts for, >= 0.

    Examples
    --------
    >>> from router_ml.checks import example_batch
    >>> table = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (2.0, 2.0)})
    >>> Y = np.array([[1.0, 0.0], [1.0, np.nan]])
    >>> model = ConstantEstimator(prior_weight=0.0).fit(example_batch(2), Y, candidates=table)
    >>> model.predict(example_batch(1), table).tolist()
    [[1.0, 0.0]]
    """

    name: ClassVar[str] = "constant"

    def __init__(self, *, prior_weight: float = 10.0) -> None:
        self.prior_weight = prior_weight

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """See :meth:`Estimator.fit`."""
        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        self.candidates_ = candidates.names
        self.mean_ = shrunk_means(Y, observed, weight, self.prior_weight)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        return np.tile(self.mean_[columns(self.candidates_, candidates)], (len(queries), 1))

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params=self.get_params(),
            arrays={"mean": self.mean_},
            values={"candidates": list(self.candidates_)},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.mean_ = state.arrays["mean"]
        return self


def shrunk_means(
    Y: FloatArray, observed: BoolArray, weight: FloatArray, prior_weight: float
) -> FloatArray:
    """Column means with ``prior_weight`` labels of the overall mean, shape (K,)."""
    total = weight.sum(axis=0)
    sums = np.where(observed, weight * np.where(observed, Y, 0.0), 0.0).sum(axis=0)
    overall = sums.sum() / total.sum()
    mass = total + prior_weight
    means: FloatArray = np.divide(
        sums + prior_weight * overall, mass, out=np.full(len(total), overall), where=mass > 0
    )
    return means
