"""A tiny service's decision log, of known truth, and a loop over it that trains in a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipelines.loop.config import LoopConfig
from tests.dirty_decisions import decision, feedback
from tests.tiny_model import tiny_model

CANDIDATES = ("small", "medium", "large")
GOOD: Mapping[str, float] = {"small": 0.3, "medium": 0.5, "large": 0.9}
PRICES = {
    name: {"input_cost_per_token": 1e-7 * k, "output_cost_per_token": 4e-7 * k}
    for k, name in enumerate(CANDIDATES, start=1)
}
TRAIN: dict[str, Any] = {
    "quality": {"name": "linear"},
    "dims": 8,
    "policy": {"name": "epsilon_greedy", "epsilon": 0.3, "cost_weight": 1.0},
}
PROMOTE: dict[str, Any] = {
    "mode": "superior",
    "cost_weight": 1.0,
    "support_by_region": False,
    "max_p50_ms": 1_000.0,
    "max_p99_ms": 1_000.0,
    "latency_queries": 20,
}


def write_log(
    path: Path,
    begin: int,
    n: int,
    *,
    good: Mapping[str, float] = GOOD,
    probs: Sequence[float] = (0.4, 0.3, 0.3),
    hours_ago: float = 2.0,
    version: str = "1",
    random_state: int = 0,
    says: str = "",
    **changes: Any,
) -> Path:
    """Append ``n`` decisions from number ``begin`` on, each with feedback, a millisecond apart.

    Parameters
    ----------
    says : what every request says besides numbers
    changes : further columns of the decisions, or functions of a decision's number
    """
    rng = np.random.default_rng([random_state, begin])
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours_ago)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(begin, begin + n):
        k = int(rng.choice(3, p=probs))
        name = CANDIDATES[k]
        time = start + timedelta(milliseconds=i)
        words = " ".join(str(word) for word in rng.integers(1, 30, size=6))
        row = decision(
            i,
            time=time.isoformat(),
            session_id=None,
            router_version=version,
            candidate=name,
            propensity=probs[k],
            candidates=CANDIDATES,
            action_probs=probs,
            ranking=[
                {"candidate": c, "quality": GOOD[c], "cost_usd": 1e-5, "latency_ms": 500.0}
                for c in CANDIDATES
            ],
            query=f"{i:05d} {words}{says}",
            **{k: value(i) if callable(value) else value for k, value in changes.items()},
        )
        told = feedback(
            i,
            time=(time + timedelta(microseconds=500)).isoformat(),
            quality=float(rng.random() < good[name]),
        )
        lines += [orjson.dumps(row), orjson.dumps(told)]
    with path.open("ab") as file:
        file.write(b"\n".join(lines) + b"\n")
    return path


def loop_config(root: Path, **changes: Any) -> LoopConfig:
    """A loop over ``root/decisions`` that retrains as soon as it may."""
    prices = root / "prices.json"
    root.mkdir(parents=True, exist_ok=True)
    prices.write_bytes(orjson.dumps(PRICES))
    values: dict[str, Any] = {
        "decisions": (str(root / "decisions"),),
        "prices": (str(prices),),
        "output": root / "loop",
        "cache": root / "cache",
        "retrain_labels": 200,
        "min_labels": 20,
        "evaluation": False,
        "once": True,
        "train": {**TRAIN, "encoder_model": tiny_model()},
        "promote": PROMOTE,
    }
    return LoopConfig(**{**values, **changes})
