"""Gradient-boosted trees: one ensemble for the common part, one per candidate for its contrast."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.estimators.base import State
from router_ml.estimators.dask_trees import grown_on_dask
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.estimators.trees import tree_features
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch

MIN_LABELS: Final = 40
"""A candidate with fewer labels gets no trees of its own."""


class LightGBMEstimator(QualityEstimator):
    r"""Trees on lexical columns and the leading embedding dimensions.

    Finds thresholds and interactions (long *and* many tools) that linear parts can't. Targets are
    the common part and the contrasts, squared error, so no candidate repeats what all share.

    Parameters
    ----------
    n_trees : int, default=120
        Trees of the common part, and of each contrast.
    learning_rate : float, default=0.05
    n_leaves : int, default=15
    min_leaf : int, default=30
        Rows in a leaf.
    leaf_penalty : float, default=10.0
        L2 penalty of leaf values, in rows.
    n_dims : int, default=16
        Leading embedding dimensions given to the trees; 64 were slower and worse on real data.
    random_state : int, default=0
    scheduler : str, default=""
        Address of a Dask scheduler (``tcp://host:8786``), whose workers grow the trees on the rows
        that each is sent; ``""`` grows them here.

    References
    ----------
    .. [1] Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", 2017.
    """

    name: ClassVar[str] = "lightgbm"

    def __init__(
        self,
        *,
        n_trees: int = 120,
        learning_rate: float = 0.05,
        n_leaves: int = 15,
        min_leaf: int = 30,
        leaf_penalty: float = 10.0,
        n_dims: int = 16,
        random_state: int = 0,
        scheduler: str = "",
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.n_leaves = n_leaves
        self.min_leaf = min_leaf
        self.leaf_penalty = leaf_penalty
        self.n_dims = n_dims
        self.random_state = random_state
        self.scheduler = scheduler

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        import lightgbm

        with ExitStack() as opened:
            if self.scheduler:
                grow = opened.enter_context(grown_on_dask(self, queries))
            else:
                grow = partial(_grow, self, tree_features(queries, self.n_dims))
            self.boosters_: list[Any] = []
            for j in range(effects.target.shape[1]):
                target, weight = effects.target[:, j], effects.weight[:, j]
                rows = weight > 0
                if rows.sum() < MIN_LABELS or np.ptp(target[rows]) < 1e-9:
                    self.boosters_.append(None)
                    continue
                self.boosters_.append(lightgbm.Booster(model_str=grow(target, weight)))

    def _effects(self, queries: QueryBatch) -> FloatArray:
        X = tree_features(queries, self.n_dims)
        effects = np.zeros((len(queries), len(self.boosters_)))
        for j, booster in enumerate(self.boosters_):
            if booster is not None and len(queries):
                effects[:, j] = booster.predict(X, num_threads=1)
        return effects

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        state = super().get_state()
        texts = {
            f"trees_{j}": booster.model_to_string()
            for j, booster in enumerate(self.boosters_)
            if booster is not None
        }
        return State(state.name, state.params, state.arrays, state.values, texts)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        import lightgbm

        self = super().from_state(state)
        self.boosters_ = [
            lightgbm.Booster(model_str=state.texts[f"trees_{j}"])
            if f"trees_{j}" in state.texts
            else None
            for j in range(len(self.candidates_) + 1)
        ]
        return self


def _grow(estimator: Any, X: FloatArray, target: FloatArray, weight: FloatArray) -> str:
    """Trees as text, from the rows that have a weight."""
    import lightgbm

    rows = weight > 0
    data = lightgbm.Dataset(
        X[rows], target[rows], weight=weight[rows], params={"max_bin": 63, "verbose": -1}
    )
    booster = lightgbm.train(tree_parameters(estimator), data, num_boost_round=estimator.n_trees)
    return str(booster.model_to_string())


def tree_parameters(estimator: Any) -> dict[str, Any]:
    """LightGBM's names for an estimator's parameters; one thread, and the same trees every time."""
    return {
        "objective": "regression",
        "learning_rate": estimator.learning_rate,
        "num_leaves": estimator.n_leaves,
        "min_data_in_leaf": estimator.min_leaf,
        "lambda_l2": estimator.leaf_penalty,
        "feature_fraction": 0.3,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63,
        "seed": estimator.random_state,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
