"""The balanced tier from labels to a bundle: one graph, the same numbers, in batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from router_ml.data.synthetic import SyntheticWorld
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import Outcomes, RouterEstimator
from router_ml.estimators.tiers import TIERS
from router_ml.export.bundle import FittedRouter, export_bundle, verify
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from tests.sentences import sentence_encoder

N, K = 300, 3


def test_balanced_is_one_graph_that_scores_batches(tmp_path: Path) -> None:
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
    bundle = export_bundle(tmp_path / "bundle", fitted)
    report = verify(bundle, fitted, queries)
    assert report.equal_decisions == 1.0
    assert report.batch_error < 1e-5
    runtime = Runtime.from_folder(bundle)
    assert runtime.is_slow  # the service gives it more time
    asked: list[int] = []
    runtime.predict([queries[0]] * 8, progress=asked.append)
    assert asked == [8]  # in one run of the graph
