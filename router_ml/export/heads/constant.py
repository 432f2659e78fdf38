"""Constants: broadcast over the batch."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.constant import ConstantEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head


@add_head.register
def _(estimator: ConstantEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    first = graph.constant(np.array([0], dtype=np.int64))
    zero = graph.op("Mul", graph.op("Gather", features.lexical, first, axis=1), _zero(graph))
    return graph.op("Add", zero, graph.constant(estimator.mean_, np.float32))


def _zero(graph: GraphBuilder) -> str:
    return graph.constant(np.float32(0.0))
