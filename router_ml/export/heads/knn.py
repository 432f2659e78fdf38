"""Kernel neighbours: similarities to all prototypes, then one product for sums and masses."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.knn import KNNEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import add_effects, clip_quality


@add_head.register
def _(estimator: KNNEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    prototypes = graph.constant(estimator.prototypes_.T / estimator.temperature, np.float32)
    cosine = graph.op("MatMul", features.embedding, prototypes)
    shift = graph.constant(np.float32(-1.0 / estimator.temperature))
    near = graph.op("Exp", graph.op("Add", cosine, shift))
    sums = graph.op("MatMul", near, graph.constant(estimator.values_))
    mass = graph.op("MatMul", near, graph.constant(estimator.mass_))
    floored = graph.op("Add", mass, graph.constant(np.float32(estimator.floor)))
    effects = graph.op("Div", sums, floored)
    return clip_quality(graph, add_effects(graph, effects, estimator.level_))
