"""Onboarding: each endpoint of ``mix`` hidden in turn, then onboarded by price, and by outcomes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd

import router_ml as rm
from pipelines.benchmarks.labelling import first_requests
from pipelines.benchmarks.trials import mean_of_trials, share_of_trials
from pipelines.console import progress
from router_ml.data.full_information import FullInformation
from router_ml.errors import DataError
from router_ml.features.query import query_id
from router_ml.types.candidates import TOKENS_PER_MTOK

METHODS: Final = ("price", "outcomes")
"""By its price alone, and by some random outcomes and its price."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was said of one endpoint, and what is true."""

    error: float
    std: float
    requests: int
    cost_usd: float


def run(
    data: Path,
    out: Path,
    *,
    cache: Path,
    requests: int = 2_000,
    labels: int = 200,
    endpoints: int = 10,
    seed: int = 0,
) -> Path:
    """Write ``workloads.mix-10-onboarding.methods.<price|outcomes>.<metric>``.

    A linear router at half the best constant's cost is learned from the requests that others
    served. ``absolute_error`` of the endpoint's mean quality over the log's requests, in units of
    quality, against the matrix; ``standard_error`` as stated; ``covered``, the share of 95 %
    intervals that hold the truth; ``requests`` and ``cost_usd`` to explore until its mean is known
    within 5 points, as planned. Intervals are over endpoints.
    """
    mix = data / "mix"
    prices: dict[str, Any] = orjson.loads((mix / "prices.json").read_bytes())
    found: dict[str, list[Found]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder, progress("endpoints", endpoints) as advance:
        work = Path(folder)
        file, rated = first_requests(mix, work, requests)
        whole = rm.read_log(file, labels=rated, prices=mix / "prices.json",
                            matrix=mix / "matrix.parquet")  # fmt: skip
        truth = whole.truth()
        if truth is None:
            raise DataError(f"{mix} has no matrix to judge by")
        for name in list(prices)[:endpoints]:
            log = rm.read_log(_without(file, name, work), labels=rated,
                              prices=mix / "prices.json", tolerance=1.0)  # fmt: skip
            policy = rm.Budget(cost_share=0.5)
            router = rm.fit(log, estimator="linear", policy=policy, cache=cache)
            few = _outcomes(truth, name, labels, np.random.default_rng(seed))
            for method, known in zip(METHODS, (None, few), strict=True):
                found[method].append(_onboarded(router, name, prices[name], known, truth, log))
            advance(1)
    result = {
        "methods": {
            method: {key: value.as_dict() for key, value in _summary(rows).items()}
            for method, rows in found.items()
        },
        "protocol": f"{endpoints} endpoints, {requests} requests, {labels} outcomes",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(
        orjson.dumps({"workloads": {"mix-10-onboarding": result}}, option=orjson.OPT_INDENT_2)
    )
    return out


def _without(file: Path, name: str, work: Path) -> Path:
    """The log as if an endpoint had not been there."""
    kept = []
    for line in file.read_bytes().splitlines():
        row = orjson.loads(line)
        if row["model"] != name:
            router = row["metadata"]["router"]
            router["candidates"] = [one for one in router["candidates"] if one != name]
            kept.append(orjson.dumps(row))
    target = work / f"without-{name}.jsonl"
    target.write_bytes(b"\n".join(kept) + b"\n")
    return target


def _outcomes(truth: FullInformation, name: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Random outcomes of an endpoint, as somebody who tried it has them."""
    k = truth.candidates.index(name)
    rows = rng.choice(len(truth), min(n, len(truth)), replace=False)
    return pd.DataFrame({
        "prompt": [truth.queries[i].ask for i in rows],
        "quality": truth.quality[rows, k],
        "input_tokens": truth.input_tokens[rows, k],
        "output_tokens": truth.output_tokens[rows, k],
    })  # fmt: skip


def _onboarded(
    router: rm.Router,
    name: str,
    price: dict[str, float],
    labels: pd.DataFrame | None,
    truth: FullInformation,
    log: rm.Log,
) -> Found:
    usd = (price["input_cost_per_token"] * TOKENS_PER_MTOK,
           price["output_cost_per_token"] * TOKENS_PER_MTOK)  # fmt: skip
    told = rm.onboard(router, name, price=usd, labels=labels)
    column = truth.quality[:, truth.candidates.index(name)]
    by_query = {query_id(query): q for query, q in zip(truth.queries, column, strict=True)}
    real = np.array([by_query.get(query, np.nan) for query in log.outcomes["query_id"]])
    plan = told.plan.iloc[0]
    return Found(
        error=told.quality - float(np.nanmean(real)),
        std=told.std,
        requests=int(plan["requests"]),
        cost_usd=float(plan["cost_usd"]),
    )


def _summary(rows: list[Found]) -> dict[str, Any]:
    error, std = np.array([row.error for row in rows]), np.array([row.std for row in rows])
    return {
        "absolute_error": mean_of_trials(np.abs(error)),
        "standard_error": mean_of_trials(std),
        "covered": share_of_trials(np.abs(error) <= 1.96 * std),
        "requests": mean_of_trials(np.array([float(row.requests) for row in rows])),
        "cost_usd": mean_of_trials(np.array([row.cost_usd for row in rows])),
    }
