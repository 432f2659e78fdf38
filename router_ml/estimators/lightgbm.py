"""Gradient-boosted trees over query and candidate together: one model for all candidates."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit
from router_ml.types import CandidateTable, FloatArray, IntArray, QueryBatch

_MODEL: Final = "model"


class LightGBMEstimator(Estimator):
    r"""Trees on ``[lexical, embedding, candidate]``, all candidates pooled.

    A row is one observed cell. Candidate k enters as its level (shrunk mean quality, so that trees
    can order candidates), its prices and one indicator a candidate; a tree that does not split on
    them learns from everyone's labels.

    Parameters
    ----------
    n_rounds : int, default=150
    learning_rate : float, default=0.05
    n_leaves : int, default=15
    min_leaf : int, default=20
        Cells a leaf needs.
    use_embedding : bool, default=False
        Lexical columns alone were better on small logs.
    n_dims : int, default=64
        Leading embedding dimensions used (PCA order), with ``use_embedding``.
    random_state : int, default=0

    References
    ----------
    .. [1] Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
    """

    name: ClassVar[str] = "lightgbm"

    def __init__(
        self,
        *,
        n_rounds: int = 150,
        learning_rate: float = 0.05,
        n_leaves: int = 15,
        min_leaf: int = 20,
        use_embedding: bool = False,
        n_dims: int = 64,
        random_state: int = 0,
    ) -> None:
        self.n_rounds = n_rounds
        self.learning_rate = learning_rate
        self.n_leaves = n_leaves
        self.min_leaf = min_leaf
        self.use_embedding = use_embedding
        self.n_dims = n_dims
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
        """See :meth:`Estimator.fit`."""
        import lightgbm as lgb

        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        self.candidates_ = candidates.names
        self.candidate_features_ = candidate_features(candidates)
        rows, cols = np.nonzero(observed)
        cells = np.column_stack(
            [self.query_features(queries)[rows], self.candidate_features_[cols]]
        )
        data = lgb.Dataset(
            cells,
            np.clip(Y[rows, cols], 0.0, 1.0),
            weight=weight[rows, cols] / weight[rows, cols].mean(),
            free_raw_data=True,
        )
        self.booster_ = lgb.train(self._parameters(), data, self.n_rounds)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`; a candidate that is new is scored by its prices alone."""
        known = {name: k for k, name in enumerate(self.candidates_)}
        features = np.zeros((len(candidates), self.candidate_features_.shape[1]))
        for j, (name, prices) in enumerate(
            zip(candidates.names, _price_features(candidates), strict=True)
        ):
            features[j, : len(prices)] = prices
            if name in known:
                features[j] = self.candidate_features_[known[name]]
        x = self.query_features(queries)
        columns = [
            self.booster_.predict(np.column_stack([x, np.tile(row, (len(x), 1))]))
            for row in features
        ]
        return (
            np.clip(np.column_stack(columns), 0.0, 1.0) if len(x) else np.zeros((0, len(features)))
        )

    def query_features(self, queries: QueryBatch) -> FloatArray:
        """Columns of the query, float32 as the graph sees them, shape (n, p)."""
        if not self.use_embedding:
            return queries.lexical
        return np.column_stack([queries.lexical, queries.embedding[:, : self.n_dims]])

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params=self.get_params(),
            arrays={"candidate_features": self.candidate_features_},
            values={"candidates": list(self.candidates_)},
            texts={_MODEL: self.booster_.model_to_string()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        import lightgbm as lgb

        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        self.candidate_features_ = state.arrays["candidate_features"]
        self.booster_ = lgb.Booster(model_str=state.texts[_MODEL])
        return self

    def _parameters(self) -> dict[str, Any]:
        if self.n_rounds < 1 or self.n_leaves < 2:
            raise ConfigError(f"n_rounds must be >= 1 and n_leaves >= 2, got {self!r}")
        return {
            "objective": "cross_entropy",
            "learning_rate": self.learning_rate,
            "num_leaves": self.n_leaves,
            "min_data_in_leaf": self.min_leaf,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


def candidate_features(candidates: CandidateTable) -> FloatArray:
    """Log prices, then one indicator a candidate: float32 as in the graph, shape (K, 2 + K)."""
    prices = _price_features(candidates)
    return np.column_stack([prices, np.eye(len(candidates))]).astype(np.float32)


def _price_features(candidates: CandidateTable) -> FloatArray:
    prices = [candidates.input_usd_per_mtok, candidates.output_usd_per_mtok]
    return np.log1p(np.column_stack(prices)).astype(np.float32)
