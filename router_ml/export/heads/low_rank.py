"""Low rank: the query's demands, the candidates' abilities, a logistic curve."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.low_rank import LowRankEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.features.lexical import NAMES


@add_head.register
def _(estimator: LowRankEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    demand = estimator.demand_ / estimator.scale_[:, None]
    shift = estimator.intercept_ - estimator.mean_ @ demand @ estimator.ability_.T
    n_lexical = len(NAMES)
    demand = np.vstack([demand[-n_lexical:], demand[:-n_lexical]])
    x = graph.op("Concat", features.lexical, features.embedding, axis=1)
    latent = graph.op("MatMul", x, graph.constant(demand, np.float32))
    eta = graph.op("MatMul", latent, graph.constant(estimator.ability_.T, np.float32))
    return graph.op("Sigmoid", graph.op("Add", eta, graph.constant(shift, np.float32)))
