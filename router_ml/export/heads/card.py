"""Card: the base's head and a shift of every candidate, or the card alone."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.card import CardQuality
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import clip_quality, expand_levels


@add_head.register
def _(estimator: CardQuality, graph: GraphBuilder, features: FeatureTensors) -> str:
    if estimator.base_ is None:
        return clip_quality(graph, expand_levels(graph, features, estimator.shift_))
    base = add_head(estimator.base_, graph, features)
    shifted = graph.op("Add", base, graph.constant(estimator.shift_, np.float32))
    return clip_quality(graph, shifted)
