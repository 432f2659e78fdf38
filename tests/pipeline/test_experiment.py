"""An experiment from the service to its report: two arms, feedback, a join, a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import router_ml as rm
from pipelines.config import ExperimentConfig, JoinConfig, load_config
from pipelines.service import Client, running_service
from pipelines.stages import experiment
from pipelines.stages.join import run as join

N_SESSIONS = 300
TRUE_QUALITY = {"champion": 0.3, "challenger": 0.9}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Decision log and joined folder of traffic in which the challenger is far better."""
    root = tmp_path_factory.mktemp("experiment")
    router = rm.fit(rm.sample_log(), estimator="linear", policy=rm.CostAware(cost_weight=1e6))
    champion, challenger = (
        router.save(root / "a"),
        router.with_policy(rm.CostAware(cost_weight=0.0)).save(root / "b"),
    )
    settings = {
        "CHALLENGER": str(challenger), "CHALLENGER_SHARE": "0.5", "EXPERIMENT": "quality first",
        "DECISION_LOG": str(root / "decisions"), "LOG_TEXT": "true",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    served = set()
    with running_service(str(champion), settings=settings) as address, Client(address) as service:
        for i in range(N_SESSIONS):
            text = f"Prove it rigorously, case {i}."
            messages = [{"role": "user", "content": text}]
            answer = service.post("/v1/route", {"messages": messages, "session": {"id": f"s{i}"}})
            arm = "champion" if answer["candidate"] == "atlas-nano" else "challenger"
            served.add(answer["candidate"])
            feedback = {
                "decision_id": answer["decision_id"],
                "quality": float(rng.random() < TRUE_QUALITY[arm]),
                "cost_usd": 0.001 if arm == "champion" else 0.002,
                "latency_ms": float(rng.normal(500, 50)),
            }
            service.post("/v1/feedback", feedback)
    assert "atlas-nano" in served
    assert len(served) > 1
    folder = join(
        load_config(
            JoinConfig,
            overrides={
                "decisions": str(root / "decisions"),
                "prices": str(rm.sample("prices.json")),
                "output": root / "joined",
            },
        )
    )
    return root / "decisions", folder


def test_the_report_finds_what_the_challenger_adds(joined: tuple[Path, Path]) -> None:
    log, folder = joined
    config = ExperimentConfig(action="report", log=(log,), joined=folder, planned_units=N_SESSIONS)
    reported = experiment.run(config)
    found = reported.report
    assert (reported.name, reported.note) == ("quality first", "")
    assert sum(found.units) == N_SESSIONS
    quality, cost = found.metrics["quality"].lift, found.metrics["cost_usd"].lift
    truth = TRUE_QUALITY["challenger"] - TRUE_QUALITY["champion"]
    assert 0.0 < quality.low < truth < quality.high
    assert cost.value == pytest.approx(0.001)
