"""kNN through a store predicts what the estimator predicts, as far as neighbours reach."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import DataError
from router_ml.estimators.knn import KNNEstimator
from router_ml.integrations.vector_stores.knn import StoredKNN
from router_ml.integrations.vector_stores.store import InProcessStore, Neighbours
from router_ml.types.arrays import FloatArray


def fitted(n: int) -> KNNEstimator:
    """As a fit leaves it: clustered prototypes, some cells unlabelled."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 32))
    rows = centres[rng.integers(20, size=n)] + 0.5 * rng.normal(size=(n, 32))
    estimator = KNNEstimator()
    estimator.prototypes_ = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    estimator.mass_ = (rng.random((n, 3)) < 0.6).astype(np.float32)
    estimator.values_ = (estimator.mass_ * rng.normal(size=(n, 3))).astype(np.float32)
    return estimator


def by_hand(estimator: KNNEstimator, asked: FloatArray) -> FloatArray:
    near = np.exp((asked.astype(float) @ estimator.prototypes_.T - 1.0) / estimator.temperature)
    effects: FloatArray = (near @ estimator.values_) / (near @ estimator.mass_ + estimator.floor)
    return effects


def test_all_neighbours_give_the_kernel_and_a_few_nearly() -> None:
    estimator = fitted(1_000)
    asked = estimator.prototypes_[:50] + np.float32(0.02)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    want = by_hand(estimator, asked)
    whole = StoredKNN(estimator=estimator, store=InProcessStore(), k=1_000).effects(asked)
    np.testing.assert_allclose(whole, want, atol=1e-5)
    errors = [
        np.abs(StoredKNN(estimator=estimator, store=InProcessStore(), k=k).effects(asked) - want)
        for k in (10, 100)
    ]
    assert errors[1].max() < errors[0].max()
    assert errors[1].mean() < 0.01


def test_ties_are_broken_by_row_and_k_may_exceed_what_there_is() -> None:
    store = InProcessStore()
    store.add(np.repeat(np.eye(2, dtype=np.float32), 3, axis=0))
    found = store.nearest(np.array([[1.0, 0.0]], dtype=np.float32), 2)
    assert found.rows.tolist() == [[0, 1]]
    assert store.nearest(np.array([[0.0, 1.0]], dtype=np.float32), 99).rows.shape == (1, 6)


def test_a_store_that_gives_too_few_is_said_so() -> None:
    with pytest.raises(DataError, match="fewer neighbours"):
        Neighbours.from_hits([[(0, 1.0)], [(0, 1.0), (1, 0.5)]])
