"""Baselines, and what methods decide at every budget."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.benchmarks.baselines import BASELINES, Baseline, ClusterTable
from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError
from router_ml.estimators.base import State
from router_ml.estimators.constant import ConstantEstimator
from router_ml.estimators.extra_trees import ExtraTreesEstimator
from router_ml.features.query import Query
from router_ml.learning.decisions import (
    SHARES,
    Played,
    budget_metrics,
    full_training_set,
    leads,
    play,
)

N = 240
TABLE = example_candidates(3)


@pytest.fixture(scope="module")
def truth() -> FullInformation:
    batch = example_batch(N)
    tokens = np.tile(np.linspace(100.0, 900.0, N)[:, None], (1, 3))
    return FullInformation(
        queries=tuple(Query(f"{text} {i}") for i, text in enumerate(batch.text)),
        candidates=TABLE,
        quality=example_labels(batch, 3),
        cost_usd=TABLE.cost_usd(tokens, tokens),
        latency_ms=np.zeros((N, 3)),
        input_tokens=tokens,
        output_tokens=tokens,
    )


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_baselines_fit_a_log(name: str) -> None:
    queries = example_batch(200)
    Y = example_labels(queries, 3)
    Y[np.random.default_rng(0).random(Y.shape) < 0.6] = np.nan
    Y[:, 2] = np.nan
    fitted = BASELINES[name].clone().fit(queries, Y, candidates=TABLE)
    predicted = fitted.predict(queries, TABLE)
    assert predicted.shape == (200, 3)
    assert np.isfinite(predicted).all()
    assert fitted.predict(queries.take(np.arange(0)), TABLE).shape == (0, 3)
    assert isinstance(fitted, Baseline)
    with pytest.raises(ConfigError, match="baseline"):
        fitted.get_state()
    with pytest.raises(ConfigError, match="no state"):
        type(fitted).from_state(State("x"))


def test_a_table_of_one_cluster_is_the_constants() -> None:
    queries = example_batch(300)
    Y = example_labels(queries, 3)
    table = ClusterTable(n_clusters=1).fit(queries, Y, candidates=TABLE)
    np.testing.assert_allclose(table.predict(queries, TABLE)[0], Y.mean(axis=0), atol=0.01)


def test_a_constant_router_with_a_floor_is_on_the_hull(truth: FullInformation) -> None:
    batch, inside, outside = example_batch(N), np.arange(0, 160), np.arange(160, N)
    _, predicted, played = play(
        full_training_set(truth, batch, inside),
        ConstantEstimator(),
        truth.take(outside),
        batch.take(outside),
        floored=True,
    )
    assert predicted.quality.shape == (80, 3)
    assert played.quality.shape == (80, len(SHARES))
    assert played.gains.shape == (80, 20)
    assert abs(played.gains.mean()) < 0.02
    assert np.array_equal(Played.from_array(played.array).hull, played.hull)


def test_metrics_and_leads(truth: FullInformation) -> None:
    batch, inside, outside = example_batch(N), np.arange(0, 160), np.arange(160, N)
    data, tested = full_training_set(truth, batch, inside), truth.take(outside)
    _, _, trees = play(
        data, ExtraTreesEstimator(n_trees=10), tested, batch.take(outside), floored=False
    )
    row = budget_metrics(trees, tested)
    assert {"hull_gain", "hull_gain_worst", "quality_at_25pct_budget"} <= set(row)
    assert row["hull_gain"].n == 80
    rows = {"fast": trees.gains.mean(axis=1), "same": trees.gains.mean(axis=1)}
    assert leads(rows, "fast", tested.groups)["same"].value == 0.0
    assert leads(rows, "nobody", tested.groups) == {}
