"""How likely an answer is right, judged from the query, the answer and the other answers."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np

from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.table import AnswerTable
from router_ml.data.groups import group_codes, group_folds
from router_ml.errors import ConfigError, SchemaError
from router_ml.estimators.base import State
from router_ml.estimators.logistic import fit_logistic
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

_BATCH: Final = 50_000
_SIZES: Final = 6
"""Numbers of trees compared, in equal steps up to ``n_trees``."""


class AnswerScorer:
    r"""P(quality | query, candidate, answer, answers seen so far): one booster for all candidates.

    Every labelled answer becomes several training rows, each with a random set of the query's other
    known answers as "seen so far"; where a query has one answer only, as in most logs, nothing is
    seen and agreement cannot be learned (``agreement_learned_`` says so). The booster's margin
    :math:`m` is calibrated by :math:`\sigma(a m + b)`, fitted on out-of-fold margins; those of
    the training answers stay available through :meth:`predict_out_of_fold`, because thresholds
    fitted on scores of the scorer's own training answers are optimistic.

    Parameters
    ----------
    n_trees : at most; the number with the least out-of-fold loss is kept
    learning_rate, num_leaves, min_child_samples : of the booster
    repeats : training rows an answer
    max_seen : largest set of other answers in training
    alone_share : share of the training rows that see no other answer
    n_splits : folds of the out-of-fold margins, >= 2
    random_state : of the draws and the booster
    """

    name = "answer"

    def __init__(
        self,
        *,
        n_trees: int = 300,
        learning_rate: float = 0.04,
        num_leaves: int = 15,
        min_child_samples: int = 20,
        repeats: int = 4,
        max_seen: int = 5,
        alone_share: float = 0.5,
        n_splits: int = 4,
        random_state: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.repeats = repeats
        self.max_seen = max_seen
        self.alone_share = alone_share
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(
        self,
        table: AnswerTable,
        Y: FloatArray,
        *,
        groups: IntArray | None = None,
        sample_weight: FloatArray | None = None,
    ) -> Self:
        """Fit on labelled answers.

        Parameters
        ----------
        table : answers of K candidates to n queries
        Y : quality in [0, 1], shape (n, K), NaN where unlabelled
        groups : int array, shape (n,), kept together in folds; default: every row its own
        sample_weight : shape (n, K), >= 0, optional

        Raises
        ------
        SchemaError
            If shapes disagree, a label is outside [0, 1], or no answer is labelled.
        ConfigError
            If ``n_splits`` is below two, or above the number of groups.
        """
        Y = np.asarray(Y, dtype=float)
        weight = np.ones(Y.shape) if sample_weight is None else np.asarray(sample_weight, float)
        if Y.shape != table.known.shape or weight.shape != Y.shape:
            raise SchemaError(f"Y and weights must have shape {table.known.shape}, got {Y.shape}")
        labelled = table.known & np.isfinite(Y) & (weight > 0)
        if not labelled.any():
            raise SchemaError("no answer has a label of positive weight; there is nothing to learn")
        if Y[labelled].min() < 0 or Y[labelled].max() > 1:
            raise SchemaError("quality must be in [0, 1]")
        rng = np.random.default_rng(self.random_state)
        self.fold_ = _folds(len(table), groups, self.n_splits, self.random_state)
        self.n_candidates_ = table.n_candidates
        self.layout_ = table.layout
        query, candidate, seen = self._draw(table, labelled, rng)
        X = table.rows(query, candidate, seen)
        y, w = Y[query, candidate], weight[query, candidate]
        self.agreement_learned_ = bool(seen.any())
        sizes = [max(1, self.n_trees * i // _SIZES) for i in range(1, _SIZES + 1)]
        margins = np.zeros((len(sizes), len(y)))
        self.fold_boosters_ = []
        for fold in range(self.n_splits):
            out = self.fold_[query] == fold
            booster = self._boost(X[~out], y[~out], w[~out], self.n_trees)
            self.fold_boosters_.append(booster)
            margins[:, out] = [_margin(booster, X[out], size) for size in sizes]
        best = int(np.argmin([_log_loss(margin, y, w) for margin in margins]))
        self.n_trees_ = sizes[best]
        self.slope_, self.intercept_ = platt(margins[best], y, w)
        self.booster_ = self._boost(X, y, w, self.n_trees_)
        return self

    def predict(
        self, table: AnswerTable, query: IntArray, candidate: IntArray, seen: BoolArray
    ) -> FloatArray:
        """Probability that answers are right, shape (m,); arguments as ``AnswerTable.rows``."""
        out = [
            _margin(self.booster_, table.rows(query[s], candidate[s], seen[s]), self.n_trees_)
            for s in _slices(len(query))
        ]
        return self._calibrated(np.concatenate(out) if out else np.zeros(0))

    def predict_out_of_fold(
        self, table: AnswerTable, query: IntArray, candidate: IntArray, seen: BoolArray
    ) -> FloatArray:
        """As :meth:`predict` for the table of :meth:`fit`, by boosters that never saw the query."""
        if len(table) != len(self.fold_):
            raise SchemaError(f"expected the {len(self.fold_)} queries of fit, got {len(table)}")
        margin = np.zeros(len(query))
        for fold, booster in enumerate(self.fold_boosters_):
            index = np.flatnonzero(self.fold_[query] == fold)
            for s in _slices(len(index)):
                rows = index[s]
                margin[rows] = _margin(
                    booster,
                    table.rows(query[rows], candidate[rows], seen[rows]),
                    self.n_trees_,
                )
        return self._calibrated(margin)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments."""
        return {key: value for key, value in vars(self).items() if not key.endswith("_")}

    def get_state(self) -> State:
        """What :meth:`from_state` needs to predict the same again; out-of-fold boosters stay."""
        return State(
            name=self.name,
            params=self.get_params(),
            values={
                "slope": self.slope_,
                "intercept": self.intercept_,
                "n_candidates": self.n_candidates_,
                "n_trees": self.n_trees_,
                "agreement_learned": self.agreement_learned_,
                "layout": self.layout_.to_dict(),
            },
            texts={"booster": self.booster_.model_to_string()},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted scorer."""
        import lightgbm as lgb

        self = cls(**state.params)
        self.slope_ = float(state.values["slope"])
        self.intercept_ = float(state.values["intercept"])
        self.n_candidates_ = int(state.values["n_candidates"])
        self.n_trees_ = int(state.values["n_trees"])
        self.agreement_learned_ = bool(state.values["agreement_learned"])
        self.layout_ = AnswerLayout.from_dict(state.values["layout"])
        self.booster_ = lgb.Booster(model_str=state.texts["booster"])
        return self

    def _calibrated(self, margin: FloatArray) -> FloatArray:
        p: FloatArray = 1.0 / (1.0 + np.exp(-(self.slope_ * margin + self.intercept_)))
        return p

    def _draw(
        self, table: AnswerTable, labelled: BoolArray, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray, BoolArray]:
        """Labelled answers, each with a random set of other known answers, or none."""
        query, candidate = (np.repeat(part, self.repeats) for part in np.nonzero(labelled))
        order = rng.random((len(query), table.n_candidates))
        order[~table.known[query]] = 2.0
        order[np.arange(len(query)), candidate] = 3.0
        others = np.minimum((order < 2.0).sum(axis=1), self.max_seen)
        size = np.ceil(rng.random(len(query)) * others).astype(int)
        size[rng.random(len(query)) < self.alone_share] = 0
        seen = (order.argsort(axis=1).argsort(axis=1) < size[:, None]) & (order < 2.0)
        return query, candidate, seen

    def _boost(self, X: FloatArray, y: FloatArray, w: FloatArray, n_trees: int) -> Any:
        import lightgbm as lgb

        parameters = {
            "objective": "cross_entropy",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "num_threads": 1,
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        return lgb.train(parameters, lgb.Dataset(X, label=y, weight=w), n_trees)


def platt(margin: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    r"""Slope and intercept of :math:`\sigma(a m + b)`, by Newton's method with a weak prior.

    The prior pulls towards the identity (a = 1, b = 0) with the weight of one row, so that
    separable data stay finite.

    Examples
    --------
    >>> margin = np.linspace(-4, 4, 4001)
    >>> a, b = platt(margin, 1 / (1 + np.exp(-(0.5 * margin + 1))), np.ones(4001))
    >>> round(a, 2), round(b, 2)
    (0.5, 1.0)
    """
    X = np.column_stack([margin, np.ones(len(margin))])
    slope, shift = fit_logistic(X, y, weight=weight, prior=np.array([1.0, 0.0]), penalty=np.ones(2))
    return float(slope), float(shift)


def _folds(n: int, groups: IntArray | None, n_splits: int, random_state: int) -> IntArray:
    """A fold for every query; queries of one group share it."""
    code = group_codes(np.arange(n) if groups is None else groups)
    n_groups = int(code.max(initial=-1)) + 1
    if not 2 <= n_splits <= n_groups:
        raise ConfigError(
            f"n_splits must be in [2, {n_groups}], the number of groups; got {n_splits}"
        )
    return group_folds(code, n_folds=n_splits, random_state=random_state)


def _margin(booster: Any, X: FloatArray, n_trees: int) -> FloatArray:
    margin = booster.predict(X, raw_score=True, num_iteration=n_trees, num_threads=1)
    return np.asarray(margin, dtype=float)


def _log_loss(margin: FloatArray, y: FloatArray, weight: FloatArray) -> float:
    return float(np.average(np.logaddexp(0.0, margin) - y * margin, weights=weight))


def _slices(n: int) -> list[slice]:
    return [slice(begin, begin + _BATCH) for begin in range(0, n, _BATCH)]
