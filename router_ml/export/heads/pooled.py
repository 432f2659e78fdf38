"""Pooled: the base's head, and one product that mixes newcomers of it."""

from __future__ import annotations

from router_ml.estimators.pooled import PooledQuality
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import affine, clip_quality


@add_head.register
def _(estimator: PooledQuality, graph: GraphBuilder, features: FeatureTensors) -> str:
    known = add_head(estimator.base_, graph, features)
    pool = estimator.pool_
    return clip_quality(graph, affine(graph, known, pool.weights, pool.levels))
