"""Training time at size: 100,000 queries, 12 candidates, static embeddings.

Run as a module it prints one JSON line: seconds and peak memory of its own process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.config import ExportConfig, JoinConfig, TrainConfig
from pipelines.encoders import get_encoder
from pipelines.stages import export, join, train
from router_ml.data.synthetic import SyntheticWorld
from router_ml.data.synthetic_log import write_world
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import Outcomes
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.learning.held_out import fit_router, hold_out
from router_ml.learning.training_set import TrainingSet

N_QUERIES: Final = 100_000
N_CANDIDATES: Final = 12
CACHE: Final = Path(".cache")
BFCL: Final = "bfcl"


def measure(n_queries: int = N_QUERIES, n_candidates: int = N_CANDIDATES) -> dict[str, float]:
    """Features and all four estimators on a log with one observed candidate a query.

    The encoder is distilled beforehand and not counted; it is made once a model.
    """
    world = SyntheticWorld(n_candidates=n_candidates, random_state=0)
    sample = world.sample(n_queries)
    encoder = get_encoder(cache=CACHE)
    queries = tuple(Query(text, history_chars=len(text)) for text in sample.text)
    # One observed candidate a query, as in a log.
    served = np.random.default_rng(0).integers(n_candidates, size=n_queries)
    hidden = np.arange(n_candidates) != served[:, None]
    outcomes = Outcomes(
        quality=np.where(hidden, np.nan, sample.quality),
        input_tokens=np.where(hidden, np.nan, sample.input_tokens),
        output_tokens=np.where(hidden, np.nan, sample.output_tokens),
        latency_ms=np.where(hidden, np.nan, sample.latency_ms),
    )
    started = time.perf_counter()
    ids = np.arange(n_queries).astype(str)
    data = TrainingSet(
        queries=queries,
        batch=Featurizer(encoder=encoder).transform(queries),
        outcomes=outcomes,
        query_id=ids,
        group_id=ids,
        candidates=world.candidates,
        requests=np.ones(n_queries),
    )
    quality = make_estimator(TrainConfig(joined=CACHE, output=CACHE).quality)
    hold_out(fit_router(data, quality), data)
    return {"seconds": time.perf_counter() - started}


def bundle_and_log(folder: Path, data: Path | None) -> tuple[Path, Path]:
    """A bundle trained on real data (or on a synthetic world), and the request log it came from."""
    source = data / BFCL if data is not None else write_world(folder / "world")
    joined = join.run(
        JoinConfig(
            requests=(str(source / "requests.jsonl.gz"),),
            labels=(str(source / "labels.csv"),),
            prices=(str(source / "prices.json"),),
            output=folder / "joined",
        )
    )
    trained = train.run(TrainConfig(joined=joined, output=folder / "trained", cache=CACHE))
    bundle = export.run(ExportConfig(trained=trained, joined=joined, output=folder / "export"))
    return bundle, source / "requests.jsonl.gz"


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps({**measure(), "peak_mb": peak_mb()}) + "\n")
