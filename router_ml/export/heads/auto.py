"""Auto: the head of the stack it chose."""

from __future__ import annotations

from router_ml.estimators.auto import AutoEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head


@add_head.register
def _(estimator: AutoEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    return add_head(estimator.stack_, graph, features)
