"""Stacked: its members' heads, then the blend."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.stacked import StackedRouter
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.linear import clip01


@add_head.register
def _(estimator: StackedRouter, graph: GraphBuilder, features: FeatureTensors) -> str:
    base, *members = estimator.members_
    constants = add_head(base, graph, features)
    total = constants
    for member, (query_weight, candidate_weight) in zip(members, estimator.weights_, strict=True):
        if query_weight == 0.0 and candidate_weight == 0.0:
            continue
        deviation = graph.op("Sub", add_head(member, graph, features), constants)
        shared = graph.op("ReduceMean", deviation, axes=[1], keepdims=1)
        # a s + b (d - s) = b d + (a - b) s
        for part, weight in (
            (deviation, candidate_weight),
            (shared, query_weight - candidate_weight),
        ):
            scaled = graph.op("Mul", part, graph.constant(np.float32(weight)))
            total = graph.op("Add", total, scaled)
    return clip01(graph, total)
