"""From a collapse to a mask: a real service, its real log, the monitor, and the service again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipelines.config import MonitorConfig
from pipelines.monitor.watch import ALARMS, read_alarms
from pipelines.stages import monitor
from router_ml.decision_log.rows import find
from router_ml.features.query import parse_query
from router_ml.runtime.replay import replay
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.serving.conftest import serve

CONSTANTS = {"query": "Mix blue.", "cost_weight": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[httpx.Client]:
    make_bundle(folder / "bundle", n_candidates=3)
    (folder / "measures.json").write_text("{}")
    paths = {"bundle": folder / "bundle", "decision_log": folder / "log",
             "measures_file": folder / "measures.json"}  # fmt: skip
    options = {"log_flush_s": 0.01, "poll_interval_s": 0.1, "log_text": True}
    with serve(folder / "service.log", **paths, **options) as client:
        yield client


def decide(client: httpx.Client, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/route", json=CONSTANTS | more)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_collapse_is_masked_and_a_better_word_unmasks(
    folder: Path, service: httpx.Client
) -> None:
    rng = np.random.default_rng(0)
    victim = decide(service)["candidate"]
    config = MonitorConfig(
        log=(folder / "log",), output=folder / "monitor", bundle=folder / "bundle",
        measures=folder / "measures.json",
    )  # fmt: skip

    def ask(n: int, share: float) -> None:
        for _ in range(n):
            decision = decide(service)
            predicted = decision["ranking"][0]["quality"]
            right = rng.random() < predicted * share
            body = {"decision_id": decision["decision_id"], "quality": float(right),
                    "name": "check", "source": "checker", "status": "success"}  # fmt: skip
            assert service.post("/v1/feedback", json=body).status_code == 202

    ask(150, 1.0)
    monitor.run(config)
    assert read_alarms(folder / "monitor" / ALARMS) == []
    ask(60, 0.2)
    monitor.run(config)
    (alarm,) = read_alarms(folder / "monitor" / ALARMS)
    assert (alarm.candidate, alarm.signal, alarm.action) == (victim, "quality", "mask")
    until(lambda: service.get("/readyz").json()["status"] == "degraded")
    decision = decide(service)
    assert decision["candidate"] != victim
    assert {"candidate": victim, "reason": "fails at present"} in decision["removed"]
    assert decide(service, candidates=[victim])["candidate"] == victim  # nobody else may
    (folder / "measures.json").write_text("{}")
    until(lambda: decide(service)["candidate"] == victim)


def test_an_explored_candidate_gets_its_share_and_the_log_knows(
    folder: Path, service: httpx.Client
) -> None:
    names = [line["candidate"] for line in decide(service)["ranking"]]
    (folder / "measures.json").write_text(json.dumps({"explored": {names[-1]: 0.3}}))
    until(lambda: "explored" in decide(service)["reason"])
    decisions = [decide(service) for _ in range(60)]
    chosen = [d for d in decisions if d["candidate"] == names[-1]]
    assert 5 <= len(chosen) <= 32  # 18 expected, 3.5 standard errors
    assert {d["propensity"] for d in chosen} == {0.3}
    time.sleep(0.3)
    row = find([*(folder / "log").glob("*.jsonl")], chosen[0]["decision_id"])
    assert row["predicted_input_tokens"] > 0.0
    again = replay(Runtime.from_folder(folder / "bundle"), row, parse_query(row["query"]))
    assert again.decision.candidate == names[-1]
    (folder / "measures.json").write_text("{}")
    until(lambda: "explored" not in decide(service)["reason"])


def test_a_wrong_file_leaves_the_former_one_in_force(folder: Path, service: httpx.Client) -> None:
    first = decide(service)["candidate"]
    (folder / "measures.json").write_text(json.dumps({"masked": {first: "by hand"}}))
    masked = {"candidate": first, "reason": "fails at present"}
    until(lambda: masked in decide(service)["removed"])
    (folder / "measures.json").write_text('{"masked": ["x"]}')
    until(lambda: any("measures file" in r for r in service.get("/readyz").json()["reasons"]))
    assert masked in decide(service)["removed"]
