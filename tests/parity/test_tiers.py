"""The balanced tier from labels to a bundle: one graph, the same numbers, in batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_ml.data.synthetic import SyntheticWorld
from router_ml.errors import ParityError
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import Outcomes, RouterEstimator
from router_ml.estimators.tiers import TIERS
from router_ml.export.bundle import FittedRouter, export_bundle, verify
from router_ml.export.parity import check_parity
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch
from tests.sentences import sentence_encoder

N, K = 300, 3


class Moved(RouterEstimator):
    """Predicts as another does, but for the first queries, which fell into another leaf."""

    def __init__(self, inner: RouterEstimator, n: int, by: float) -> None:
        self.inner, self.n, self.by = inner, n, by

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> Predictions:
        found = self.inner.predict(queries, candidates)
        quality = found.quality.copy()
        quality[: self.n] += np.where(quality[: self.n] > 0.5, -self.by, self.by)
        return replace(found, quality=quality)


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> tuple[FittedRouter, Path, list[Query]]:
    world = SyntheticWorld(n_candidates=K, random_state=0)
    sample = world.sample(N, random_state=1)
    queries = [Query(text) for text in sample.text]
    encoder = sentence_encoder()
    parts = (sample.quality, sample.input_tokens, sample.output_tokens, sample.latency_ms)
    router = RouterEstimator(quality=make_estimator(TIERS["balanced"].quality)).fit(
        Featurizer(encoder=encoder).transform(queries),
        Outcomes(*parts),
        candidates=world.candidates,
        groups=np.asarray(sample.group_id),
    )
    fitted = FittedRouter(router, encoder, world.candidates, {"name": "cost_aware"})
    bundle = export_bundle(tmp_path_factory.mktemp("balanced") / "bundle", fitted)
    return fitted, bundle, queries


def test_balanced_is_one_graph_that_scores_batches(
    balanced: tuple[FittedRouter, Path, list[Query]],
) -> None:
    fitted, bundle, queries = balanced
    report = verify(bundle, fitted, queries)
    assert report.equal_decisions == 1.0
    assert report.batch_error < 1e-5
    assert report.moved == 0.0  # this encoder is exact
    runtime = Runtime.from_folder(bundle)
    assert runtime.is_slow  # the service gives it more time
    asked: list[int] = []
    runtime.predict([queries[0]] * 8, progress=asked.append)
    assert asked == [8]  # in one run of the graph


def test_a_query_that_crosses_a_threshold_is_counted_and_many_are_refused(
    balanced: tuple[FittedRouter, Path, list[Query]],
) -> None:
    fitted, bundle, queries = balanced
    featurizer, runtime = Featurizer(encoder=fitted.encoder), Runtime.from_folder(bundle)

    def check(n: int, by: float) -> float:
        moved = Moved(fitted.estimator, n, by)
        return check_parity(moved, featurizer, runtime, queries, n_single=100).moved

    assert check(1, 0.003) == pytest.approx(1 / 400)
    with pytest.raises(ParityError):  # one of a hundred
        check(4, 0.003)
    with pytest.raises(ParityError):  # farther than any leaf
        check(1, 0.2)
