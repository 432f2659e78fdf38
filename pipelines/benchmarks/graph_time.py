"""How long the graph of one estimator takes, from a prompt's text to every candidate's quality."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from pipelines.encoders import CachedEncoder
from router_ml.estimators.base import Estimator
from router_ml.evaluation.intervals import Estimate
from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.router import load_heads
from router_ml.features.encoder import Encoder
from router_ml.features.lexical import lexical_features
from router_ml.features.query import Query
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens


def request_ms(
    estimator: Estimator, encoder: Encoder, queries: Sequence[Query], n_candidates: int
) -> FloatArray:
    """Milliseconds of one prompt at a time, one thread, shape (n, 2).

    First from its text to every candidate's quality, then of that the graph alone: what is left is
    tokenising and counting.
    """
    load_heads()
    graph = GraphBuilder()
    inner = encoder.inner if isinstance(encoder, CachedEncoder) else encoder
    features = add_encoder(graph, inner)
    out = add_head(estimator, graph, features)
    graph.output(out, "quality", ("batch", n_candidates))
    session = open_session(graph.build().SerializeToString(), "the graph")
    tokenizer = encoder.tokenizer
    taken = []
    for query in queries:
        started = time.perf_counter()
        feed = graph_inputs(
            [value.name for value in session.get_inputs()],
            tokens=Tokens.from_rows([tokenizer.row(query)]),
            lexical=lexical_features(query)[None],
            pad_id=tokenizer.layout.pad_id,
        )
        ran = time.perf_counter()
        session.run(None, feed)
        ended = time.perf_counter()
        taken.append((1000.0 * (ended - started), 1000.0 * (ended - ran)))
    return np.array(taken).reshape(-1, 2)


def median(times: FloatArray) -> Estimate:
    """Median, between the order statistics that hold it 19 times in 20."""
    from scipy.stats import binom

    low, high = binom.ppf([0.025, 0.975], len(times), 0.5).astype(int)
    ordered = np.sort(times)
    return Estimate(
        float(np.median(times)), ordered[low], ordered[min(high, len(times) - 1)], len(times)
    )
