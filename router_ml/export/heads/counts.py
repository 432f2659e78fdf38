"""Counts: a linear map of lexical columns, exponentiated where the link is the logarithm."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.counts import LOG_COLUMNS, CountsEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head


@add_head.register
def _(estimator: CountsEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    # Standardisation is folded into the weights: (x - m) / s @ C.T + a = x @ (C / s).T + b.
    coef = estimator.coef_ / estimator.scale_
    intercept = estimator.intercept_ - coef @ estimator.mean_
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
    eta = graph.op(
        "Add",
        graph.op("MatMul", x, graph.constant(coef.T, np.float32)),
        graph.constant(intercept, np.float32),
    )
    mean = graph.op("Exp", eta) if estimator.link == "log" else graph.op("Relu", eta)
    return graph.op("Mul", mean, graph.constant(estimator.smear_, np.float32))
