"""The blend that fits a latency and a training-time allowance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, load_estimator
from router_ml.estimators.stacked import DEFAULT_MEMBERS, StackedQuality
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class Cost:
    """What a member costs, as measured on two shared cores; orders of magnitude are enough.

    Parameters
    ----------
    score_ms : milliseconds a request
    train_s : seconds per thousand queries and candidate, one fit
    """

    score_ms: float
    train_s: float


COSTS: Final[dict[str, Cost]] = {
    "linear": Cost(0.005, 0.003),
    "extra_trees": Cost(0.02, 0.10),
    "deep_averaging": Cost(0.03, 0.12),
    "token_weights": Cost(0.03, 0.02),
}
POOL: Final[Mapping[str, Mapping[str, Any]]] = {"linear": {"name": "linear"}, **DEFAULT_MEMBERS}
"""What is chosen from: the stack's own members, and the one that fits any allowance."""


class AutoEstimator(Estimator):
    """Stack as many of the standard members as the allowances permit, cheapest first.

    Parameters
    ----------
    score_ms : float, default=0.5
        Milliseconds that scoring one request may take, encoder and tokeniser not counted.
    train_s : float, default=600.0
        Seconds that fitting may take.
    n_folds : int, default=4
        Of the stack.
    random_state : int, default=0

    Attributes
    ----------
    oof_, report_ : of the stack; the report also says which members were left out
    """

    name: ClassVar[str] = "auto"

    def __init__(
        self,
        *,
        score_ms: float = 0.5,
        train_s: float = 600.0,
        n_folds: int = 4,
        random_state: int = 0,
    ) -> None:
        self.score_ms = score_ms
        self.train_s = train_s
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """Choose members, then fit their stack; see :meth:`Estimator.fit`."""
        _, observed, _, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        n = int(np.asarray(observed.any(axis=1)).sum())
        members = self.choose(n, len(candidates))
        self.stack_ = StackedQuality(
            members=members, n_folds=self.n_folds, random_state=self.random_state
        ).fit(queries, Y, candidates=candidates, sample_weight=sample_weight, groups=groups)
        self.oof_ = self.stack_.oof_
        left_out = sorted(set(POOL) - set(members))
        self.report_ = {**self.stack_.report_, "left_out": left_out}
        return self

    def choose(self, n: int, k: int) -> dict[str, Any]:
        """Members that fit the allowances for n labelled queries and k candidates.

        Raises
        ------
        ConfigError
            If not even the cheapest does.

        Examples
        --------
        >>> list(AutoEstimator(train_s=5.0).choose(10_000, 2))
        ['linear', 'token_weights']
        """
        chosen: dict[str, Any] = {}
        score = train = 0.0
        for member in sorted(POOL, key=lambda name: COSTS[name].train_s):
            cost = COSTS[member]
            seconds = cost.train_s * n / 1_000 * (k + 1) * (self.n_folds + 1)
            if score + cost.score_ms <= self.score_ms and train + seconds <= self.train_s:
                chosen[member] = POOL[member]
                score, train = score + cost.score_ms, train + seconds
        if not chosen:
            raise ConfigError(
                f"no member fits score_ms={self.score_ms} and train_s={self.train_s} with {n} "
                "queries; raise an allowance"
            )
        return {name: chosen[name] for name in POOL if name in chosen}

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """The stack's predictions, shape (n, K); see :meth:`Estimator.predict`."""
        return self.stack_.predict(queries, candidates)

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params=self.get_params(),
            values={"report": self.report_},
            children={"stack": self.stack_.get_state()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        stack = load_estimator(state.children["stack"])
        if not isinstance(stack, StackedQuality):
            raise ConfigError(f"an auto estimator holds a stack, got {stack!r}")
        self.stack_, self.report_ = stack, state.values["report"]
        return self
