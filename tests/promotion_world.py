"""Bundles of known worth, a matrix and a log to judge them on, and a real SQLite registry."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from mlflow.tracking import MlflowClient

from pipelines.config import JoinConfig
from pipelines.stages.join import run as join
from router_ml.export.parity import ParityReport
from router_ml.policies.base import Policy
from router_ml.policies.constant import ConstantPolicy
from tests.bundles import make_bundle

MLFLOW_WARNINGS = (
    # MLflow 3.17 asks SQLAlchemy 2.1 for a loader strategy that is going away.
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning",
    # MLflow 3.17 compares an index with a range, of which pandas 3 warns.
    "ignore:Operation with range is deprecated:DeprecationWarning",
    "ignore:Starting with pandas version 4.0 all arguments:DeprecationWarning:mlflow.*",
)
CANDIDATES = ("candidate-0", "candidate-1", "candidate-2")
COST_USD = np.array([0.0001, 0.0003, 0.0010])
"""candidate-1 is as good as candidate-2 for a third of its cost; candidate-0 is much worse."""
QUALITY = np.array([0.55, 0.90, 0.90])


@cache
def _empty_database() -> bytes:
    """MLflow's empty store; creating it runs all migrations, seconds that one test may spend."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


def sqlite_store(folder: Path) -> str:
    """A fresh SQLite store in ``folder``; returns its tracking URI."""
    (folder / "mlflow.db").write_bytes(_empty_database())
    return f"sqlite:///{folder}/mlflow.db"


def exported(
    folder: Path, policy: Policy | str, *, max_error: float = 1e-6, random_state: int = 0
) -> Path:
    """A bundle and its parity report, as ``export`` leaves them; returns the bundle's folder."""
    chosen = ConstantPolicy(candidate=policy) if isinstance(policy, str) else policy
    manifest = make_bundle(folder / "bundle", policy=chosen, random_state=random_state)
    report = ParityReport(1_000, {"quality": max_error, "latency_ms": 1e-6}, 1.0, 1e-7)
    proof = {"bundle_id": manifest.bundle_id, **asdict(report)}
    (folder / "parity.json").write_text(json.dumps(proof), encoding="utf-8")
    return folder / "bundle"


def outcomes(n: int, random_state: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """0 or 1 for n prompts and every candidate; the two good ones fail on nearly the same."""
    rng = np.random.default_rng(random_state)
    draw = rng.random((n, 1)) + np.where(rng.random((n, 3)) < 0.02, 0.3, 0.0)
    return (draw < QUALITY).astype(float)


def write_matrix(path: Path, n: int = 1_500) -> Path:
    """Full information on ``n`` prompts."""
    quality = outcomes(n)
    rows = [
        {
            "query_id": f"q{i}",
            "prompt": f"Question {i}: mix blue and yellow paint?",
            "candidate": name,
            "quality": quality[i, k],
            "input_tokens": 20,
            "output_tokens": 10,
            "latency_ms": 100.0,
            "cost_usd": COST_USD[k],
        }
        for i in range(n)
        for k, name in enumerate(CANDIDATES)
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


def write_joined(
    folder: Path,
    n: int = 6_000,
    probs: tuple[float, ...] = (0.2, 0.4, 0.4),
    *,
    propensities: bool = True,
) -> Path:
    """A log of a randomising policy, with labels, joined; returns the joined folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    quality = outcomes(n, random_state=2)
    with (folder / "requests.jsonl").open("wb") as log, (folder / "labels.csv").open("w") as labels:
        labels.write("request_id,name,value,source,time\n")
        for i in range(n):
            k = int(rng.choice(3, p=probs))
            row = {
                "id": f"r{i}",
                "call_type": "acompletion",
                "model": CANDIDATES[k],
                "status": "success",
                "startTime": 1.77e9 + i,
                "endTime": 1.77e9 + i + 0.1,
                "prompt_tokens": 20,
                "completion_tokens": 10,
                "response_cost": float(COST_USD[k]),
                "messages": [{"role": "user", "content": f"Question {i}: mix paint?"}],
                "response": {"choices": [{"message": {"role": "assistant", "content": "Green."}}]},
                "metadata": {
                    "router": {"propensity": float(probs[k]), "candidates": list(CANDIDATES)}
                },
            }
            if not propensities:
                row["metadata"] = {}
            log.write(orjson.dumps(row) + b"\n")
            labels.write(f"r{i},exact,{quality[i, k]},checker,2026-03-01T00:00:00Z\n")
    price = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    prices = dict.fromkeys(CANDIDATES, price)
    (folder / "prices.json").write_bytes(orjson.dumps(prices))
    return join(
        JoinConfig(
            requests=(str(folder / "requests.jsonl"),),
            labels=(str(folder / "labels.csv"),),
            prices=(str(folder / "prices.json"),),
            output=folder / "joined",
        )
    )
