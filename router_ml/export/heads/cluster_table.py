"""Cluster table: the nearest centre, and its row."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.cluster_table import ClusterTableEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import affine, clip_quality, per_candidate


@add_head.register
def _(estimator: ClusterTableEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    score = affine(graph, features.embedding, estimator.centres_.T, estimator.offsets)
    cluster = graph.op("ArgMax", score, axis=1, keepdims=0)
    quality = estimator.level_ + per_candidate(estimator.table_)
    table = graph.constant(quality, np.float32)
    return clip_quality(graph, graph.op("Gather", table, cluster, axis=0))
