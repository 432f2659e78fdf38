"""A small student taught by labels and by what a larger teacher predicts out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import numpy as np

from router_ml.data.groups import group_folds
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, load_estimator
from router_ml.estimators.cross_fitting import out_of_fold, squared_errors
from router_ml.estimators.specs import Spec, as_estimator, as_spec
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

TEACHER: Final[Mapping[str, str]] = {"name": "stacked"}
STUDENT: Final[Mapping[str, str]] = {"name": "token_weights"}


class DistilledEstimator(Estimator):
    r"""Fit a teacher, keep only its student.

    .. math:: \tilde y_{ik} = (1 - \alpha)\, y_{ik} + \alpha\, \hat t_{ik}, \qquad
              \tilde y_{ik} = \hat t_{ik} \text{ with weight } \beta \text{ where unobserved}

    :math:`\hat t` are the teacher's predictions for rows it was not fitted on, so that the student
    learns what the teacher *knows*, not the labels it has memorised. Candidates that did not serve
    a query, and queries that nobody labelled, are lessons as well; never pass test queries.
    The bundle holds the student alone, so its latency is the student's.

    Parameters
    ----------
    teacher, student : estimators or specs ``{"name": ..., **arguments}``; default: stacked and
        token weights
    alpha : float, default=0.5
        Share of the teacher in an observed cell, in [0, 1].
    unlabelled_weight : float, default=0.25
        :math:`\beta`, >= 0, relative to the mean weight of an observed cell.
    n_folds : int, default=4
    random_state : int, default=0
        Seeds the folds.

    References
    ----------
    .. [1] Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    name: ClassVar[str] = "distilled"

    def __init__(
        self,
        *,
        teacher: Spec = TEACHER,
        student: Spec = STUDENT,
        alpha: float = 0.5,
        unlabelled_weight: float = 0.25,
        n_folds: int = 4,
        random_state: int = 0,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.unlabelled_weight = unlabelled_weight
        self.n_folds = n_folds
        self.random_state = random_state

    @property
    def costly(self) -> bool:
        """Whether the teacher is."""
        return as_estimator(self.teacher).costly

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Cross-fit the teacher, then fit the student; see :meth:`Estimator.fit`."""
        if not 0.0 <= self.alpha <= 1.0 or self.unlabelled_weight < 0.0:
            raise ConfigError(f"alpha must be in [0, 1] and unlabelled_weight >= 0, got {self!r}")
        Y, observed, weight, code = check_fit(queries, Y, candidates, sample_weight, groups)
        held_out, _ = out_of_fold(
            {"teacher": as_estimator(self.teacher)},
            queries,
            Y,
            candidates=candidates,
            weight=weight,
            groups=code,
            folds=group_folds(code, n_folds=self.n_folds, random_state=self.random_state),
        )
        taught = held_out["teacher"]
        target = np.where(observed, (1.0 - self.alpha) * Y + self.alpha * taught, taught)
        spare = self.unlabelled_weight * float(weight[observed].mean())
        self.student_ = as_estimator(self.student).fit(
            queries,
            target,
            candidates=candidates,
            sample_weight=np.where(observed, weight, spare),
            groups=code,
        )
        error = squared_errors(taught, Y, weight).sum() / weight.sum()
        self.report_ = {"squared_error": {"teacher": round(float(error), 6)}}
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """The student's predictions, shape (n, K); see :meth:`Estimator.predict`."""
        return self.student_.predict(queries, candidates)

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        params = self.get_params(deep=False)
        params = {**params, "teacher": as_spec(self.teacher), "student": as_spec(self.student)}
        return State(
            name=self.name,
            params=params,
            values={"report": self.report_},
            children={"student": self.student_.get_state()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.student_ = load_estimator(state.children["student"])
        self.report_ = state.values["report"]
        return self
