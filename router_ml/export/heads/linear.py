"""Linear: one matrix product; standardisation is folded into the weights."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.linear import LinearEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head


@add_head.register
def _(estimator: LinearEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    coef = estimator.coef_ / estimator.scale_
    intercept = estimator.intercept_ - coef @ estimator.mean_
    x = graph.op("Concat", features.embedding, features.lexical, axis=1)
    score = graph.op(
        "Add",
        graph.op("MatMul", x, graph.constant(coef.T, np.float32)),
        graph.constant(intercept, np.float32),
    )
    return clip01(graph, score)


def clip01(graph: GraphBuilder, tensor: str) -> str:
    """Values below 0 become 0, above 1 become 1."""
    zero, one = graph.constant(np.float32(0.0)), graph.constant(np.float32(1.0))
    return graph.op("Clip", tensor, zero, one)
