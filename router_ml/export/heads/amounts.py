"""Counts: a linear map of lexical columns, exponentiated where the link is the logarithm."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.amounts import LOG_COLUMNS, AmountEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import affine


@add_head.register
def _(estimator: AmountEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    # Standardisation is folded into the weights: (x - m) / s @ C.T + a = x @ (C / s).T + b.
    coef = estimator.coef_ / estimator.scale_
    intercept = estimator.intercept_ - coef @ estimator.mean_
    # So is smearing, r >= 0: r exp(z) = exp(z + log r), and r max(0, z) = max(0, r z).
    if estimator.link == "log":
        with np.errstate(divide="ignore"):
            intercept = intercept + np.log(estimator.smear_)
    else:
        coef, intercept = coef * estimator.smear_[:, None], intercept * estimator.smear_
    if estimator.link == "log":
        x = graph.op(
            "Min",
            graph.op("Max", features.lexical, graph.constant(estimator.low_, np.float32)),
            graph.constant(estimator.high_, np.float32),
        )
    else:
        columns = graph.constant(np.array(LOG_COLUMNS, dtype=np.int64))
        logs = graph.op("Gather", features.lexical, columns, axis=1)
        x = graph.op("Sub", graph.op("Exp", logs), graph.constant(np.float32(1.0)))
    return graph.op(
        "Exp" if estimator.link == "log" else "Relu", affine(graph, x, coef.T, intercept)
    )
