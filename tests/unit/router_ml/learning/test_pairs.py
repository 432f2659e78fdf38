"""Comparisons move differences, never a level, and count as the labels they are made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_ml.checks.examples import (
    example_batch,
    example_candidates,
    example_labels,
    example_pairs,
)
from router_ml.data.preferences import Preferences
from router_ml.estimators.constant import ConstantEstimator
from router_ml.estimators.linear import LinearEstimator
from router_ml.estimators.router import Outcomes
from router_ml.evaluation.pairs import pair_agreement
from router_ml.features.query import Query
from router_ml.learning.pairs import pair_levels, with_pairs
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import FloatArray

N, K = 800, 3
BATCH, TABLE = example_batch(N), example_candidates(K)
TRUTH = example_labels(BATCH, K)
IDS = np.array([f"q{i:04d}" for i in range(N)])


def log(Y: FloatArray) -> TrainingSet:
    """Every query once, labelled where Y is known."""
    tokens = np.full(Y.shape, 10.0)
    return TrainingSet(
        queries=tuple(Query(name) for name in IDS.tolist()),
        batch=BATCH,
        outcomes=Outcomes(Y, tokens, tokens, tokens, np.where(np.isnan(Y), 0.0, 1.0)),
        query_id=IDS,
        group_id=IDS,
        candidates=TABLE,
        requests=np.ones(N),
    )


def compared(rows: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int = 0) -> Preferences:
    """Two random candidates on each of some queries."""
    rng = np.random.default_rng(seed)
    a = rng.integers(K, size=len(rows))
    b = (a + 1 + rng.integers(K - 1, size=len(rows))) % K
    apart = TRUTH[rows, a] - TRUTH[rows, b]
    winner = np.where(apart > 0, "a", np.where(apart < 0, "b", "tie"))
    return Preferences(
        queries=tuple(Query(IDS[i]) for i in rows),
        query_id=IDS[rows],
        group_id=IDS[rows],
        candidates=TABLE.names,
        a=a,
        b=b,
        winner=winner,
        weight=np.ones(len(rows)),
        split=np.full(len(rows), "train"),
    )


def unlabelled() -> TrainingSet:
    return log(np.full((N, K), np.nan))


def test_levels_are_those_of_labels_up_to_their_mean() -> None:
    pairs = compared(np.tile(np.arange(N), 4))
    levels = pair_levels(np.zeros((0, K)), np.zeros((0, K)), pairs)
    np.testing.assert_allclose(levels.mean(), 0.5, atol=1e-9)
    np.testing.assert_allclose(levels - 0.5, TRUTH.mean(axis=0) - TRUTH.mean(), atol=0.03)
    labelled = pair_levels(TRUTH, np.ones(TRUTH.shape), pairs)
    np.testing.assert_allclose(labelled, TRUTH.mean(axis=0), atol=0.02)


def test_golden_levels() -> None:
    """Two candidates, three wins of four: d = 1/2, levels 1/2 -+ 1/4, by hand."""
    pairs = example_pairs([(0, 1, "a"), (0, 1, "a"), (1, 0, "b"), (0, 1, "b")])
    levels = pair_levels(np.zeros((0, 2)), np.zeros((0, 2)), pairs)
    np.testing.assert_allclose(levels, [0.75, 0.25], atol=1e-3)


def test_comparisons_alone_teach_which_query_needs_whom() -> None:
    data = with_pairs(
        unlabelled(), compared(np.tile(np.arange(N), 2)), LinearEstimator(), lambda q: BATCH
    )
    fitted = LinearEstimator().fit(
        data.batch,
        data.outcomes.quality,
        candidates=TABLE,
        sample_weight=data.outcomes.weight,
    )
    fresh = example_batch(2_000, random_state=5)
    predicted = fitted.predict(fresh, TABLE)
    wanted = LinearEstimator().fit(BATCH, TRUTH, candidates=TABLE).predict(fresh, TABLE)
    apart = [quality[:, 2] - quality[:, 0] for quality in (predicted, wanted)]
    assert np.corrcoef(apart[0], apart[1])[0, 1] > 0.9
    assert apart[0].std() > 0.6 * apart[1].std()


def test_repeated_comparisons_are_one_of_their_weight() -> None:
    pairs = compared(np.arange(200))
    often = pairs.take(np.tile(np.arange(200), 3))
    heavy = replace(pairs, weight=np.full(200, 3.0))
    one, other = (
        with_pairs(unlabelled(), p, ConstantEstimator(), lambda q: BATCH).outcomes
        for p in (often, heavy)
    )
    np.testing.assert_allclose(one.quality, other.quality)
    np.testing.assert_allclose(np.asarray(one.weight), np.asarray(other.weight))


def test_swapping_sides_changes_nothing() -> None:
    pairs = compared(np.arange(300))
    swap = {"a": "b", "b": "a"}
    winner = np.array([swap.get(w, w) for w in pairs.winner.tolist()])
    other = replace(pairs, a=pairs.b, b=pairs.a, winner=winner)
    found = [
        with_pairs(unlabelled(), p, ConstantEstimator(), lambda q: BATCH).outcomes.quality
        for p in (pairs, other)
    ]
    np.testing.assert_allclose(found[0], found[1])


def test_labels_stay_and_new_queries_are_added() -> None:
    Y = TRUTH.copy()
    Y[100:] = np.nan
    pairs = compared(np.arange(100, 140))
    ids = np.array([f"new-{i}" for i in range(40)])
    pairs = replace(pairs, query_id=ids, group_id=ids)
    data = with_pairs(log(Y), pairs, ConstantEstimator(), lambda q: example_batch(len(q)))
    assert len(data) == len(data.batch) == N + 40
    np.testing.assert_allclose(data.outcomes.quality[:100], Y[:100])
    assert np.isfinite(data.outcomes.quality[N:]).sum() == 80
    assert data.query_id[N:].tolist() == ids.tolist()


def test_agreement_counts_ties_of_predictions_as_half() -> None:
    pairs = example_pairs([(0, 1, "a"), (0, 1, "b"), (0, 1, "tie"), (1, 0, "a")])
    quality = np.array([[0.9, 0.1], [0.9, 0.1], [0.0, 1.0], [0.5, 0.5]])
    found = pair_agreement(quality, np.array([0.2, 0.8]), pairs)
    assert found["agreement"].value == pytest.approx((1 + 0 + 0.5) / 3)
    assert found["agreement_of_levels"].value == pytest.approx((0 + 1 + 1) / 3)
    assert pair_agreement(quality[2:3], np.zeros(2), pairs.take(np.array([2]))) == {}
