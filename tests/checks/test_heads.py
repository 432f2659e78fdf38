"""Every registered estimator is the same in the graph as in Python, on plain and odd input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router_ml.checks.examples import (
    N_TOKENS,
    example_batch,
    example_candidates,
    example_labels,
)
from router_ml.estimators.base import Estimator
from router_ml.estimators.calibration import fit_calibrator
from router_ml.estimators.registry import load_all, make_estimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.calibration import add_calibration
from router_ml.export.inputs import add_input
from router_ml.export.router import load_heads
from router_ml.features.lexical import NAMES
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch, Tokens
from tests.checks.test_estimators import arguments

DIMS = 8


def odd_batch() -> QueryBatch:
    """Nothing but padding, one token, one token 2,000 times, unseen ids, extreme columns."""
    rows = [[0], [5], [7] * 2000, [N_TOKENS + 400, 3], [0, 4, 0, 4, 0]]
    rng = np.random.default_rng(0)
    lexical = rng.random((len(rows), len(NAMES))).astype(np.float32)
    lexical[2], lexical[3] = 0.0, 15.0
    embedding = rng.standard_normal((len(rows), DIMS)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    embedding[0] = 0.0
    text = tuple(str(i) for i in range(len(rows)))
    return QueryBatch(text, ("",) * len(rows), Tokens.from_rows(rows), lexical, embedding)


def scorer(estimator: Estimator) -> Any:
    """The head alone, with the embedding as an input instead of an encoder."""
    load_heads()
    graph = GraphBuilder()
    features = FeatureTensors(
        embedding=graph.input("embedding", np.float32, ("batch", DIMS)),
        lexical=add_input(graph, "lexical"),
    )
    graph.output(add_head(estimator, graph, features), "out", ("batch", 3))
    return open_session(graph.build().SerializeToString(), "a test")


def run(session: Any, queries: QueryBatch) -> FloatArray:
    wanted = [node.name for node in session.get_inputs() if node.name != "embedding"]
    feed = graph_inputs(wanted, tokens=queries.tokens, lexical=queries.lexical, pad_id=0)
    out: FloatArray = session.run(None, {"embedding": queries.embedding, **feed})[0]
    return out


@pytest.mark.parametrize("labels", ["full", "partial", "one candidate unlabelled"])
@pytest.mark.parametrize("name", sorted(load_all()))
def test_head_agrees(name: str, labels: str) -> None:
    queries, table = example_batch(300, n_dims=DIMS), example_candidates(3)
    Y = example_labels(queries, 3)
    if labels == "partial":
        Y[np.random.default_rng(2).random(Y.shape) < 0.6] = np.nan
    if labels == "one candidate unlabelled":
        Y[:, 2] = np.nan
    estimator = make_estimator({"name": name, **arguments(name)})
    estimator.fit(queries, Y, candidates=table)
    session = scorer(estimator)
    for batch in (example_batch(100, random_state=9, n_dims=DIMS), odd_batch()):
        expected = estimator.predict(batch, table)
        together = run(session, batch)
        scale = np.maximum(1.0, np.abs(expected))
        np.testing.assert_allclose(together / scale, expected / scale, atol=1e-4)
        for i in range(min(5, len(batch))):
            alone = run(session, batch.take(np.array([i])))[0]
            np.testing.assert_allclose(alone / scale[i], expected[i] / scale[i], atol=1e-4)


@pytest.mark.parametrize("n", [1, 5, 300, 5000])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_calibration_agrees(n: int, spread: float) -> None:
    rng = np.random.default_rng(n)
    p = 0.5 + spread * (rng.random((n, 2)) - 0.5)
    calibrator = fit_calibrator(p, (rng.random((n, 2)) < p).astype(float))
    graph = GraphBuilder()
    x = graph.input("x", np.float32, ("batch", 2))
    graph.output(add_calibration(graph, x, calibrator), "y", ("batch", 2))
    session = open_session(graph.build().SerializeToString(), "a test")
    value = np.vstack([rng.random((50, 2)), [[0.0, 1.0], [-0.1, 1.2]]]).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": value})[0], calibrator(value), atol=1e-5)
