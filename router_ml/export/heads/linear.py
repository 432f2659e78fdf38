"""Linear: one matrix product on embedding and standard scores."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.linear import LinearEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import affine, clip_quality, per_candidate, standard_scores


@add_head.register
def _(estimator: LinearEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    n_lexical = len(estimator.mean_)
    coef = per_candidate(estimator.coef_)
    coef[:-n_lexical] *= np.sqrt(len(coef) - n_lexical)
    coef[-n_lexical:] *= estimator.lexical_scale
    z = standard_scores(graph, features, estimator.mean_, estimator.scale_)
    x = graph.op("Concat", features.embedding, z, axis=1)
    intercept = estimator.level_ + per_candidate(estimator.intercept_)
    return clip_quality(graph, affine(graph, x, coef, intercept))
