"""Distilled: the student's head; the teacher is not shipped."""

from __future__ import annotations

from router_ml.estimators.distillation import DistilledEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head


@add_head.register
def _(estimator: DistilledEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    return add_head(estimator.student_, graph, features)
