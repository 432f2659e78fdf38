"""Constants: the levels, once a row."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.constant import ConstantEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import expand_levels


@add_head.register
def _(estimator: ConstantEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    return expand_levels(graph, features, np.clip(estimator.level_, 0.0, 1.0))
