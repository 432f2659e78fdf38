"""A log that two registered versions wrote, judged as one: the registry gives their bundles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from pipelines.config import EvaluateConfig, JoinConfig, PromoteConfig, RegisterConfig
from pipelines.stages import evaluate, promote, register
from pipelines.stages.join import run as join
from router_ml.features.query import parse_query
from router_ml.policies.exploration import EpsilonGreedyPolicy
from router_ml.runtime.runtime import Runtime
from tests.promotion_world import (
    CANDIDATES,
    COST_USD,
    MLFLOW_WARNINGS,
    exported,
    outcomes,
    sqlite_store,
)

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings(*MLFLOW_WARNINGS)
N = 3_000


def write_log(folder: Path, versions: dict[str, Runtime]) -> Path:
    """Requests that two versions served in turns, by their own policies; all are labelled."""
    rng = np.random.default_rng(0)
    quality = outcomes(N)
    messages = [[{"role": "user", "content": f"Question {i}: mix paint?"}] for i in range(N)]
    queries = tuple(parse_query(said) for said in messages)
    probs = {
        name: router.policy.action_probs(router.predict(queries), router.candidates)
        for name, router in versions.items()
    }
    labels = ["request_id,name,value,source,time"]
    with (folder / "requests.jsonl").open("wb") as log:
        for i in range(N):
            version = str(rng.choice(list(versions)))
            k = int(rng.choice(3, p=probs[version][i]))
            routed = {
                "candidate": CANDIDATES[k],
                "propensity": float(probs[version][i, k]),
                "candidates": list(CANDIDATES),
                "action_probs": probs[version][i].tolist(),
                "policy_version": version,
            }
            row = {
                "id": f"r{i}",
                "call_type": "acompletion",
                "model": CANDIDATES[k],
                "status": "success",
                "startTime": 1.77e9 + i,
                "endTime": 1.77e9 + i + 0.1 * (k + 1),
                "prompt_tokens": 20,
                "completion_tokens": 10,
                "response_cost": float(COST_USD[k]),
                "messages": messages[i],
                "response": {"choices": [{"message": {"role": "assistant", "content": "Green."}}]},
                "metadata": {"router": routed},
            }
            log.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            labels.append(f"r{i},exact,{quality[i, k]:g},checker,2026-03-01T00:00:00Z")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    prices = {n: {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6} for n in CANDIDATES}
    (folder / "prices.json").write_text(json.dumps(prices), encoding="utf-8")
    return join(
        JoinConfig(
            requests=(str(folder / "requests.jsonl"),),
            labels=(str(folder / "labels.csv"),),
            prices=(str(folder / "prices.json"),),
            output=folder / "joined",
            check_costs="report",
        )
    )


def test_gate_and_evaluation_balance_over_the_versions_that_wrote_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    mlflow.set_tracking_uri(None)
    policies = {"a": EpsilonGreedyPolicy(epsilon=0.6), "b": EpsilonGreedyPolicy(epsilon=0.06)}
    versions, bundles = {}, {}
    for name, policy in policies.items():
        bundle = exported(tmp_path / name, policy, random_state=ord(name))
        version = register.run(RegisterConfig(bundle=bundle))
        versions[version], bundles[version] = Runtime.from_folder(bundle), bundle
    joined = write_log(tmp_path, versions)
    register.run(RegisterConfig(bundle=exported(tmp_path / "c", "candidate-1")))
    report = promote.run(
        PromoteConfig(
            joined=joined,
            guards={"latency_ms_p95": 1.5},
            max_p50_ms=1e3,
            max_p99_ms=1e3,
        )
    )
    assert "2 versions served this log" in report.basis
    assert report.basis.count("replayed by its bundle") == 2
    assert [check.name for check in report.gate.checks] == ["quality", "cost_usd", "latency_ms_p95"]
    assert "latency_ms_p95" in report.text
    # The same of a bundle folder, without the registry.
    config = EvaluateConfig(
        bundle=tmp_path / "c" / "bundle",
        joined=joined,
        output=tmp_path / "evaluation",
        loggers=bundles,
    )
    found = json.loads((evaluate.run(config) / "evaluation.json").read_text())
    told = found["loggers"]
    assert told["effective_sample_size"] > 1.1 * told["effective_sample_size_apart"]
    assert told["text"].count("replayed by its bundle") == 2
    p95 = found["tails"]["router"]["latency_ms_p95"]
    assert (p95["value"], p95["low"]) == pytest.approx((200.0, 200.0), abs=1.0)
    assert p95["high"] is None  # 62 effective requests cannot bound it from above
