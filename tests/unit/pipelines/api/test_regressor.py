"""scikit-learn's conventions, and what the score says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import router_ml as rm
from router_ml.errors import ConfigError, SchemaError
from router_ml.estimators.knn import KNNEstimator

NAMES = ["atlas-nano", "atlas-medium", "delta-max"]
COSTS = {"atlas-nano": 0.00005, "atlas-medium": 0.0003, "delta-max": 0.0023}
TABLE = rm.sample_scores()
X, Y = TABLE["prompt"], TABLE[NAMES]


@pytest.fixture(autouse=True)
def _cache(encoder_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_ML_CACHE", str(encoder_cache))


def test_it_is_cloned_with_its_parameters() -> None:
    model = rm.QualityRegressor(estimator=KNNEstimator(prior=3.0), costs=COSTS)
    again = clone(model)
    assert again is not model
    assert again.get_params()["estimator__prior"] == 3.0
    again.set_params(estimator__prior=9.0)
    assert model.get_params()["estimator__prior"] == 3.0


def test_a_grid_over_an_estimators_parameters() -> None:
    grid = {"estimator": ["knn", KNNEstimator(prior=7.0)], "estimator__temperature": [0.06, 0.3]}
    search = GridSearchCV(rm.QualityRegressor(costs=COSTS), grid, cv=2).fit(X, Y)
    assert search.best_score_ > 0.0
    assert search.predict(X[:2]).shape == (2, 3)
    assert search.best_estimator_.estimator_.get_params()["temperature"] in (0.06, 0.3)
    named = rm.QualityRegressor("knn")
    assert clone(named).set_params(estimator__prior=9.0).get_params()["estimator__prior"] == 9.0
    assert named.estimator == "knn"
    with pytest.raises(ValueError, match="knn has no parameter 'penalty'"):
        named.set_params(estimator__penalty=1.0)


def test_constants_gain_nothing_and_knn_does() -> None:
    flat, learned = (
        cross_val_score(rm.QualityRegressor(name, costs=COSTS), X, Y, cv=3).mean()
        for name in ("constant", "knn")
    )
    assert flat == pytest.approx(0.0, abs=0.01)
    assert learned > flat + 0.02


def test_it_stands_in_a_pipeline() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    made = make_pipeline(lower, rm.QualityRegressor(costs=COSTS)).fit(X, Y)
    assert np.isfinite(made.score(X, Y))


def test_unknown_scores_are_learned_around() -> None:
    holes = Y.astype(float).mask(np.random.default_rng(0).random(Y.shape) < 0.5)
    model = rm.QualityRegressor("linear", costs=COSTS).fit(X, holes)
    assert model.predict(X[:5]).shape == (5, 3)
    with pytest.raises(SchemaError, match="there is none"):
        model.score(X[:3], np.full((3, 3), np.nan))


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(SchemaError, match=r"Y must have shape \(n_samples, n_candidates\)"):
        rm.QualityRegressor().fit(X, Y["delta-max"])
    with pytest.raises(ConfigError, match="no cost of delta-max"):
        rm.QualityRegressor(costs={"atlas-nano": 1.0, "atlas-medium": 1.0}).fit(X, Y)
    with pytest.raises(ConfigError, match="3 numbers >= 0"):
        rm.QualityRegressor(costs=[1.0, -1.0, 0.0]).fit(X, Y)
