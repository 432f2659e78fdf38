"""Deep averaging: a gather and a mean of learned token vectors, two matrix products."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from router_ml.estimators.deep_averaging import LEXICAL_SCALE, DeepAveragingEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import affine, standard_scores
from router_ml.export.inputs import add_input, row_sum


@add_head.register
def _(estimator: DeepAveragingEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    hidden = estimator.hidden_.copy()
    hidden[-len(estimator.mean_) :] *= LEXICAL_SCALE
    z = standard_scores(graph, features, estimator.mean_, estimator.scale_)
    x = graph.op("Concat", features.embedding, z, axis=1)
    tokens, rows = add_input(graph, "tokens"), add_input(graph, "token_rows")
    bucket = graph.op("Mod", tokens, graph.constant(np.int64(estimator.n_tokens)))
    vectors = graph.op("Gather", graph.constant(estimator.table_), bucket, axis=0)
    vectors = graph.op("Cast", vectors, to=TensorProto.FLOAT)
    total = row_sum(graph, vectors, rows, width=estimator.table_.shape[1])
    one = graph.constant(np.float32(1.0))
    ones = graph.op("Expand", one, graph.op("Shape", rows))
    count = graph.op("Max", row_sum(graph, ones, rows, width=1), one)
    learned = graph.op("Div", total, count)
    raw = graph.op("Add", affine(graph, x, hidden, estimator.bias_), learned)
    eta = affine(graph, graph.op("Relu", raw), estimator.out_, estimator.intercept_)
    return graph.op("Sigmoid", eta)
