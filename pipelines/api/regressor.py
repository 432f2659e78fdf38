"""A scikit-learn estimator: texts to every candidate's quality, scored by what routing gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pipelines.api.specs import AnyEstimator
from pipelines.api.workspace import cache_folder
from pipelines.encoders import get_encoder
from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError, SchemaError
from router_ml.estimators.base import Estimator
from router_ml.estimators.registry import make_estimator
from router_ml.evaluation.hull import Hull
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import parse_query
from router_ml.learning.decisions import play_budgets
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import TOKENS_PER_MTOK, CandidateTable
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch


class QualityRegressor(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    r"""Predicts the quality of every candidate's answer; for ``GridSearchCV`` and pipelines.

    X are n texts, Y is the matrix of scores, shape (n, K), NaN where unknown. ``score`` is the mean
    over budgets of routed quality above the hull of the constants at equal cost:

    .. math:: \frac{1}{B} \sum_b \frac{1}{n} \sum_i (q_{ib} - h_{ib})

    Parameters
    ----------
    estimator : name, estimator or ``{"name": ..., **arguments}``, default="linear"
        Its parameters are reached as ``estimator__penalty``, those of a named one, too.
    costs : mean US dollars a request of every candidate: shape (K,), or a mapping by name, optional
        Without any all cost the same, and ``score`` is quality above the best constant.
    cache : folder for encoders, optional

    Attributes
    ----------
    candidates_ : K names, ``Y``'s columns
    estimator_ : as fitted
    hull_ : of the training rows' constants

    References
    ----------
    .. [1] Hu et al., "RouterBench", 2024: the hull of the constants ("zero router").

    Examples
    --------
    >>> import router_ml as rm
    >>> from sklearn.model_selection import GridSearchCV
    >>> table, names = rm.sample_scores(), ["atlas-nano", "atlas-medium", "delta-max"]
    >>> costs = [0.00005, 0.0003, 0.0023]
    >>> search = GridSearchCV(
    ...     rm.QualityRegressor(costs=costs), {"estimator": ["constant", "knn"]}, cv=3)
    >>> search.fit(table["prompt"], table[names]).best_params_
    {'estimator': 'knn'}
    """

    def __init__(
        self,
        estimator: AnyEstimator = "linear",
        costs: Sequence[float] | Mapping[str, float] | None = None,
        cache: Path | str | None = None,
    ) -> None:
        self.estimator = estimator
        self.costs = costs
        self.cache = cache

    def set_params(self, **params: Any) -> Self:
        """Change parameters; ``estimator__penalty`` is that of the estimator.

        Parameters
        ----------
        params : by name

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        if "estimator" in params:
            self.estimator = params.pop("estimator")
        if any(name.startswith("estimator__") for name in params):
            self.estimator = self._built()
        super().set_params(**params)
        return self

    def fit(self, X: Any, Y: Any, sample_weight: FloatArray | None = None) -> Self:
        """Learn from texts and their scores.

        Parameters
        ----------
        X : n texts, or chat messages each
        Y : shape (n, K), in [0, 1], NaN where unknown; a frame's columns name the candidates
        sample_weight : shape (n,) or (n, K), optional

        Raises
        ------
        SchemaError
            If shapes disagree, or no score is known.
        ConfigError
            If ``costs`` does not fit the candidates.
        """
        quality = _scores(X, Y)
        named = isinstance(Y, pd.DataFrame)
        self.candidates_ = tuple(map(str, Y.columns)) if named else tuple(
            f"c{k}" for k in range(quality.shape[1])
        )  # fmt: skip
        self.costs_ = self._costs()
        self.hull_ = Hull.of(np.nanmean(quality, axis=0), self.costs_)
        self.best_ = int(np.argmax(np.nanmean(quality, axis=0)))
        self.featurizer_ = Featurizer(encoder=get_encoder(cache=cache_folder(self.cache)))
        self.estimator_ = self._built().fit(
            self._batch(X), quality, candidates=self._table(), sample_weight=sample_weight
        )
        return self

    def predict(self, X: Any) -> FloatArray:
        """Predicted quality of every candidate's answer.

        Parameters
        ----------
        X : n texts, or chat messages each

        Returns
        -------
        Shape (n, K), in [0, 1], columns as ``candidates_``.
        """
        check_is_fitted(self, "estimator_")
        return np.asarray(self.estimator_.predict(self._batch(X), self._table()), dtype=float)

    def score(self, X: Any, Y: Any) -> float:
        """Quality above the hull at equal cost, mean over budgets.

        Parameters
        ----------
        X : n texts, or chat messages each
        Y : shape (n, K); rows in which a score is unknown are left out

        Raises
        ------
        SchemaError
            If no row has all scores.
        """
        truth = _scores(X, Y)
        whole: BoolArray = np.asarray(np.isfinite(truth).all(axis=1))
        if not whole.any():
            raise SchemaError("score needs rows whose scores are all known, there is none")
        quality = self.predict(X)[whole]
        cost = np.tile(self.costs_, (len(quality), 1))
        nothing = np.zeros_like(cost)
        predictions = Predictions(quality, nothing, cost, nothing)
        played = play_budgets(
            predictions,
            predictions,
            self._table(),
            FullInformation.of(
                tuple(parse_query(text) for text, keep in zip(X, whole, strict=True) if keep),
                truth[whole],
                self._table(),
                cost_usd=cost,
            ),
            hull=self.hull_,
            reference_usd=float(self.costs_[self.best_]),
        )
        return float(played.gains.mean())

    def _built(self) -> Estimator:
        """Unfitted, as :func:`estimator_spec` takes it; an object is cloned."""
        if isinstance(self.estimator, Estimator):
            return self.estimator.clone()
        named = {"name": self.estimator} if isinstance(self.estimator, str) else self.estimator
        return make_estimator(named)

    def _batch(self, X: Any) -> QueryBatch:
        if isinstance(X, str):
            raise SchemaError("X must be a list of texts, got one text")
        return self.featurizer_.transform([parse_query(text) for text in X])

    def _table(self) -> CandidateTable:
        """Candidates whose output tokens are dollars."""
        return CandidateTable.from_prices(dict.fromkeys(self.candidates_, (0.0, TOKENS_PER_MTOK)))

    def _costs(self) -> FloatArray:
        k = len(self.candidates_)
        given = [1.0] * k if self.costs is None else self.costs
        if isinstance(given, Mapping):
            if lacking := [name for name in self.candidates_ if name not in given]:
                raise ConfigError(f"no cost of {', '.join(lacking)}; give US dollars a request")
            given = [given[name] for name in self.candidates_]
        costs = np.asarray(given, dtype=float)
        if costs.shape != (k,) or not (costs >= 0.0).all():
            raise ConfigError(f"costs must be {k} numbers >= 0, one a candidate, got {given}")
        return costs


def _scores(X: Any, Y: Any) -> FloatArray:
    quality = np.asarray(Y, dtype=float)
    if quality.ndim != 2 or len(quality) != len(X):
        raise SchemaError(
            f"Y must have shape (n_samples, n_candidates) for {len(X)} texts, got {quality.shape}"
        )
    return quality
