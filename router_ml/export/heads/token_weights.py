"""Token weights: gather the rows of every token and pair, sum, divide by the norm."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.token_weights import PAIR_FACTOR, TokenWeightsEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import AXIS_1, clip_quality, per_candidate
from router_ml.types import FloatArray


@add_head.register
def _(estimator: TokenWeightsEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    table, nothing = _table(estimator)
    first, second = _but_last(graph, features.input_ids), _but_first(graph, features.input_ids)
    single = graph.op("Mod", features.input_ids, graph.constant(np.int64(estimator.n_tokens)))
    key = graph.op("Add", graph.op("Mul", first, graph.constant(np.int64(PAIR_FACTOR))), second)
    pair = graph.op("Mod", key, graph.constant(np.int64(estimator.n_pairs)))
    pair = graph.op("Add", pair, graph.constant(np.int64(estimator.n_tokens)))
    both = graph.op("Mul", _but_last(graph, features.mask), _but_first(graph, features.mask))
    real = graph.op("Concat", features.mask, both, axis=1)
    buckets = graph.op(
        "Where",
        graph.op("Greater", real, graph.constant(np.float32(0.5))),
        graph.op("Concat", single, pair, axis=1),
        graph.constant(nothing),
    )
    rows = graph.op("Gather", graph.constant(table, np.float32), buckets, axis=0)
    total = graph.op("ReduceSum", rows, graph.constant(AXIS_1), keepdims=0)
    k = len(estimator.level_)
    sums = graph.op("Gather", total, graph.constant(np.arange(k)), axis=1)
    square = graph.op("Gather", total, graph.constant(np.array([k])), axis=1)
    norm = graph.op("Sqrt", graph.op("Max", square, graph.constant(np.float32(1e-12))))
    intercept = estimator.level_ + per_candidate(estimator.intercept_)
    value = graph.op("Add", graph.op("Div", sums, norm), graph.constant(intercept, np.float32))
    return clip_quality(graph, value)


def _table(estimator: TokenWeightsEstimator) -> tuple[FloatArray, np.int64]:
    """Rows of K weights times idf, then squared idf, so that one sum gives value and norm.

    The last row, whose number comes second, is zero; padding points to it.
    """
    idf = estimator.idf_.astype(float)
    weights = per_candidate(estimator.coef_.astype(float)) * idf[:, None]
    table = np.column_stack([weights, idf**2])
    return np.vstack([table, np.zeros((1, table.shape[1]))]), np.int64(len(table))


def _but_last(graph: GraphBuilder, x: str) -> str:
    starts, ends = graph.constant(np.array([0])), graph.constant(np.array([-1]))
    return graph.op("Slice", x, starts, ends, graph.constant(AXIS_1))


def _but_first(graph: GraphBuilder, x: str) -> str:
    starts, ends = graph.constant(AXIS_1), graph.constant(np.array([np.iinfo(np.int64).max]))
    return graph.op("Slice", x, starts, ends, graph.constant(AXIS_1))
