"""Token weights: gather the rows of every distinct token and pair, sum, divide by the norm."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from router_ml.estimators.token_weights import MIN_SQUARE, PAIR_FACTOR, TokenWeightsEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import AXIS_1, clip_quality


@add_head.register
def _(estimator: TokenWeightsEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    # Padding points to a last row of zeros.
    table = np.vstack([estimator.table_, np.zeros_like(estimator.table_[:1])])
    nothing = np.int64(len(estimator.table_))
    first, second = _but_last(graph, features.input_ids), _but_first(graph, features.input_ids)
    single = graph.op("Mod", features.input_ids, graph.constant(np.int64(estimator.n_tokens)))
    key = graph.op("Add", graph.op("Mul", first, graph.constant(np.int64(PAIR_FACTOR))), second)
    pair = graph.op("Mod", key, graph.constant(np.int64(estimator.n_pairs)))
    pair = graph.op("Add", pair, graph.constant(np.int64(estimator.n_tokens)))
    both = graph.op("And", _but_last(graph, features.real), _but_first(graph, features.real))
    buckets = graph.op(
        "Where",
        graph.op("Concat", features.real, both, axis=1),
        graph.op("Concat", single, pair, axis=1),
        graph.constant(nothing),
    )
    buckets = _distinct(graph, buckets, nothing)
    rows = _double(graph, graph.op("Gather", graph.constant(table), buckets, axis=0))
    total = graph.op("ReduceSum", rows, graph.constant(AXIS_1), keepdims=0)
    k = len(estimator.level_)
    sums = graph.op("Gather", total, graph.constant(np.arange(k)), axis=1)
    square = graph.op("Gather", total, graph.constant(np.array([k])), axis=1)
    floor = _double(graph, graph.constant(MIN_SQUARE))
    value = graph.op("Div", sums, graph.op("Sqrt", graph.op("Max", square, floor)))
    value = graph.op("Add", value, _double(graph, graph.constant(estimator.offset_)))
    return clip_quality(graph, graph.op("Cast", value, to=TensorProto.FLOAT))


def _distinct(graph: GraphBuilder, buckets: str, nothing: np.int64) -> str:
    """Buckets with every one but the first of its kind replaced by ``nothing``, in any order."""
    width = graph.op("Gather", graph.op("Shape", buckets), graph.constant(AXIS_1), axis=0)
    ordered = graph.op("TopK", buckets, width, axis=1)
    again = graph.op("Equal", _but_first(graph, ordered), _but_last(graph, ordered))
    rest = graph.op("Where", again, graph.constant(nothing), _but_first(graph, ordered))
    zero, one = graph.constant(np.array([0])), graph.constant(AXIS_1)
    first = graph.op("Slice", ordered, zero, one, graph.constant(AXIS_1))
    return graph.op("Concat", first, rest, axis=1)


def _double(graph: GraphBuilder, x: str) -> str:
    """In double precision sums do not depend on their order, once they are rounded to single."""
    return graph.op("Cast", x, to=TensorProto.DOUBLE)


def _but_last(graph: GraphBuilder, x: str) -> str:
    starts, ends = graph.constant(np.array([0])), graph.constant(np.array([-1]))
    return graph.op("Slice", x, starts, ends, graph.constant(AXIS_1))


def _but_first(graph: GraphBuilder, x: str) -> str:
    starts, ends = graph.constant(AXIS_1), graph.constant(np.array([np.iinfo(np.int64).max]))
    return graph.op("Slice", x, starts, ends, graph.constant(AXIS_1))
