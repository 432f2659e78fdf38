"""How long a candidate estimator takes to score one request, as it would be served."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from router_ml.estimators.base import Estimator
from router_ml.estimators.constant import ConstantEstimator
from router_ml.estimators.router import RouterEstimator
from router_ml.export.bundle import FittedRouter, export_bundle
from router_ml.features.encoder import Encoder
from router_ml.learning.contest import Contest
from router_ml.learning.held_out import fit_router
from router_ml.runtime.runtime import Runtime

N_QUERIES: Final = 40
REPEATS: Final = 3


def score_ms(quality: Estimator, contest: Contest, encoder: Encoder) -> float:
    """Milliseconds of a request through the exported graph, the median over queries.

    The fastest of a few repeats counts for each query, so that what else the machine does is not
    charged to the estimator.

    Parameters
    ----------
    quality : fitted
    """
    rest = fit_router(contest.data, ConstantEstimator())
    router = RouterEstimator(
        quality=quality,
        input_tokens=rest.input_tokens,
        output_tokens=rest.output_tokens,
        latency_ms=rest.latency_ms,
    )
    fitted = FittedRouter(router, encoder, contest.data.candidates, {"name": "cost_aware"})
    with tempfile.TemporaryDirectory(prefix="router-time-") as folder:
        runtime = Runtime.from_folder(export_bundle(Path(folder) / "bundle", fitted))
    queries = contest.data.queries[:N_QUERIES]
    took = np.full((REPEATS, len(queries)), np.inf)
    for repeat in range(REPEATS):
        for i, query in enumerate(queries):
            begun = time.perf_counter()
            runtime.predict_one(query)
            took[repeat, i] = time.perf_counter() - begun
    return float(np.median(took.min(axis=0)) * 1e3)
