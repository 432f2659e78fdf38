"""Deep averaging: a gather and a mean of learned token vectors, two matrix products."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from router_ml.estimators.deep_averaging import LEXICAL_SCALE, DeepAveragingEstimator
from router_ml.export.encoders import token_sum
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import AXIS_1, affine, standard_scores


@add_head.register
def _(estimator: DeepAveragingEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    hidden = estimator.hidden_.copy()
    hidden[-len(estimator.mean_) :] *= LEXICAL_SCALE
    z = standard_scores(graph, features, estimator.mean_, estimator.scale_)
    x = graph.op("Concat", features.embedding, z, axis=1)
    bucket = graph.op("Mod", features.input_ids, graph.constant(np.int64(estimator.n_tokens)))
    table = graph.constant(estimator.table_)
    count = graph.op("Cast", features.real, to=TensorProto.DOUBLE)
    count = graph.op("ReduceSum", count, graph.constant(AXIS_1), keepdims=1)
    one = graph.op("Cast", graph.constant(np.float32(1.0)), to=TensorProto.DOUBLE)
    total = token_sum(graph, table, bucket, features.real)
    learned = graph.op("Div", total, graph.op("Max", count, one))
    learned = graph.op("Cast", learned, to=TensorProto.FLOAT)
    raw = graph.op("Add", affine(graph, x, hidden, estimator.bias_), learned)
    eta = affine(graph, graph.op("Relu", raw), estimator.out_, estimator.intercept_)
    return graph.op("Sigmoid", eta)
