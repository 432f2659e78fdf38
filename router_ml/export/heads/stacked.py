"""Stacked: members' heads, two weights each, and the calibration."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.stacked import StackedQuality
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.calibration import add_calibration
from router_ml.export.heads.quality import affine, clip_quality, expand_levels


@add_head.register
def _(estimator: StackedQuality, graph: GraphBuilder, features: FeatureTensors) -> str:
    fitted = estimator.blend_
    k = len(fitted.level)
    weights = [fitted.weights[name] for name in estimator.members_]
    # A member adds a * common + b * contrast = b * left + (a - b) * mean(left), its left being its
    # quality less the level: linear, so that all is one product.
    blend = np.vstack([b * np.eye(k) + np.full((k, k), (a - b) / k) for a, b in weights] or [[]])
    if members := [add_head(member, graph, features) for member in estimator.members_.values()]:
        rest = fitted.level - np.tile(fitted.level, len(members)) @ blend
        total = affine(graph, graph.op("Concat", *members, axis=1), blend, rest)
    else:
        total = expand_levels(graph, features, fitted.level)
    calibrated = add_calibration(graph, clip_quality(graph, total), fitted.calibrator)
    return clip_quality(graph, calibrated)
