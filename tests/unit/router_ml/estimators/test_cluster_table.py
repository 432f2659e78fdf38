"""Clusters: each has its own mean, fewer where labels are few, and the nearest centre decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_ml.checks.examples import example_batch
from router_ml.errors import ConfigError
from router_ml.estimators.cluster_table import ClusterTableEstimator
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch

CANDIDATES = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})


def two_kinds(n: int = 200) -> tuple[QueryBatch, np.ndarray]:
    """Queries of two kinds: ``small`` is right on the first only, ``large`` always."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 2
    embedding = np.eye(8)[kind] + 0.05 * rng.standard_normal((n, 8))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    queries = replace(example_batch(n), embedding=embedding.astype(np.float32))
    return queries, np.column_stack([1.0 - kind, np.ones(n)])


def test_a_cluster_has_its_mean() -> None:
    queries, quality = two_kinds()
    estimator = ClusterTableEstimator(n_clusters=2, prior=0.0).fit(
        queries, quality, candidates=CANDIDATES
    )
    assert len(np.unique(estimator.clusters(queries))) == 2
    np.testing.assert_allclose(estimator.predict(queries, CANDIDATES), quality, atol=0.02)


def test_few_labels_make_few_clusters() -> None:
    queries, quality = two_kinds(30)
    estimator = ClusterTableEstimator(min_rows=20).fit(queries, quality, candidates=CANDIDATES)
    assert len(estimator.centres_) == 1
    predicted = estimator.predict(queries, CANDIDATES)
    np.testing.assert_allclose(predicted, np.tile(predicted[0], (30, 1)))


def test_queries_that_are_all_the_same_are_one_cluster() -> None:
    queries, quality = two_kinds()
    queries.embedding[:] = queries.embedding[0]
    estimator = ClusterTableEstimator().fit(queries, quality, candidates=CANDIDATES)
    assert estimator.centres_.shape == (1, 8)


@pytest.mark.parametrize("wrong", [{"n_clusters": 0}, {"min_rows": 0}, {"prior": -1}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    queries, quality = two_kinds(20)
    with pytest.raises(ConfigError, match="must be >= 1 and prior >= 0"):
        ClusterTableEstimator(**wrong).fit(queries, quality, candidates=CANDIDATES)
