"""Token weights: gather the rows of every distinct term, sum, divide by the norm."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.token_weights import MIN_SQUARE, TokenWeightsEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import clip_quality
from router_ml.export.inputs import add_input, row_sum


@add_head.register
def _(estimator: TokenWeightsEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    k = len(estimator.level_)
    table = graph.constant(estimator.table_)
    weights = graph.op("Gather", table, add_input(graph, "terms"), axis=0)
    total = row_sum(graph, weights, add_input(graph, "term_rows"), width=k + 1)
    sums = graph.op("Gather", total, graph.constant(np.arange(k)), axis=1)
    square = graph.op("Gather", total, graph.constant(np.array([k])), axis=1)
    norm = graph.op("Sqrt", graph.op("Max", square, graph.constant(MIN_SQUARE)))
    value = graph.op("Add", graph.op("Div", sums, norm), graph.constant(estimator.offset_))
    return clip_quality(graph, value)
