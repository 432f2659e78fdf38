"""Stacked: members' heads, two weights each, and the calibration."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.stacked import StackedRouter
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.calibration import add_calibration
from router_ml.export.heads.quality import clip_quality, expand_levels


@add_head.register
def _(estimator: StackedRouter, graph: GraphBuilder, features: FeatureTensors) -> str:
    level = graph.constant(estimator.level_[None, :], np.float32)
    # a * common + b * contrast = b * (quality - level) + (a - b) * common.
    total = expand_levels(graph, features, estimator.level_)
    for name, member in estimator.members_.items():
        a, b = estimator.weights_[name]
        left = graph.op("Sub", add_head(member, graph, features), level)
        common = graph.op("ReduceMean", left, axes=[1], keepdims=1)
        for tensor, weight in ((left, b), (common, a - b)):
            scaled = graph.op("Mul", tensor, graph.constant(np.float32(weight)))
            total = graph.op("Add", total, scaled)
    calibrated = add_calibration(graph, clip_quality(graph, total), estimator.calibrator_)
    return clip_quality(graph, calibrated)
