"""The gate on a log alone, a service that follows it, and the MLflow project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import PromoteConfig, RegisterConfig
from pipelines.registry.promotion import Condition, check_support
from pipelines.registry.versions import champion_version
from pipelines.service import post, running_service
from pipelines.stages import promote, register
from router_ml.errors import DataError
from router_ml.evaluation.gate.doubly_robust import difference
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.gate.pairing import PairedRows
from router_ml.evaluation.gate.support import unsupported, worst_case
from router_ml.evaluation.gate.traffic import traffic_shift
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from tests.promotion_world import (
    MLFLOW_WARNINGS,
    exported,
    sqlite_store,
    write_joined,
    write_matrix,
)

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings(*MLFLOW_WARNINGS)
REPOSITORY = Path(__file__).parents[2]
PATIENT: dict[str, Any] = {"max_p50_ms": 1e3, "max_p99_ms": 1e3}
NAMED: dict[str, Any] = {"override_by": "Ada", "override_reason": "a test", **PATIENT}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    mlflow.set_tracking_uri(None)
    return tmp_path


def add(folder: Path, policy: str) -> str:
    return register.run(RegisterConfig(bundle=exported(folder, policy)))


def test_without_logged_propensities_the_gate_judges_and_says_so(store: Path) -> None:
    joined = write_joined(store / "log", n=8_000, propensities=False)
    version = add(store / "a", "candidate-1")
    report = promote.run(PromoteConfig(joined=joined, **PATIENT))
    # today: 0.83 at 0.54 thousandths of a dollar; candidate-1: 0.90 at 0.30
    assert (report.champion, report.gate.verdict, report.promoted) == ("today", "better", True)
    assert report.gate.checks[0].estimate.low < 0.07 < report.gate.checks[0].estimate.high
    assert "propensities were not logged and are estimated" in report.text
    names = [one.name.split()[0] for one in report.beside]
    assert names == ["constant", "hull"]
    assert report.advice == ""
    tags = mlflow.MlflowClient().get_model_version("router", version).tags
    assert (tags["propensity_source"], tags["gate_verdict"]) == ("estimated", "better")


def test_the_best_constant_can_be_the_opponent_instead(store: Path) -> None:
    joined = write_joined(store / "log", n=4_000)
    add(store / "a", "candidate-0")
    report = promote.run(PromoteConfig(joined=joined, opponent="constant", **PATIENT))
    assert report.champion.startswith("constant candidate-")
    assert report.gate.verdict == "shown to be worse"
    assert "will not change that" in report.text
    assert report.advice in report.text
    budget = re.search(r"policy \{name: budget, budget_usd: ([\d.e-]+)\}", report.advice)
    assert budget is not None, report.advice
    opponent_usd = 1e-4 - report.gate.checks[1].estimate.value
    assert float(budget[1]) == pytest.approx(0.9 * opponent_usd, rel=0.05)
    assert report.beside[0].name == "today"


def test_an_override_works_where_nothing_can_be_compared(store: Path) -> None:
    version = add(store / "a", "candidate-1")
    with pytest.raises(DataError, match="needs a joined log or a matrix"):
        promote.run(PromoteConfig(**PATIENT))
    report = promote.run(PromoteConfig(**NAMED))
    assert (report.promoted, report.passed) == (True, False)
    assert "NOT JUDGED" in report.text
    assert champion_version() == version


def test_a_log_alone_can_show_a_saving_and_a_loss(store: Path) -> None:
    joined = write_joined(store / "log", n=12_000)
    add(store / "a", "candidate-2")
    promote.run(PromoteConfig(joined=joined, **NAMED))
    add(store / "b", "candidate-0")
    worse = promote.run(PromoteConfig(joined=joined, **PATIENT))
    assert not worse.promoted
    assert worse.gate.checks[0].estimate.high < 0.0
    add(store / "c", "candidate-1")
    cheaper = promote.run(PromoteConfig(joined=joined, margin=0.05, peeking="once", **PATIENT))
    assert cheaper.promoted
    assert cheaper.gate.checks[1].estimate.value == pytest.approx(-0.0007, abs=1e-4)
    assert cheaper.moved == pytest.approx(1.0)


def test_a_log_cannot_judge_what_it_never_served(store: Path) -> None:
    joined = write_joined(store / "log", n=600, probs=(0.5, 0.5, 0.0))
    add(store / "a", "candidate-2")
    report = promote.run(PromoteConfig(joined=joined, **PATIENT))
    assert [c.name for c in report.conditions if not c.passed] == ["support"]
    assert "candidate-2" in report.text


def test_what_the_log_cannot_judge_is_counted_as_lost() -> None:
    """Under any outcomes that it may have, the challenger is at least as good as the worst case."""
    rng = np.random.default_rng(0)
    n, names = 3_000, ("known", "other", "new")
    log = LoggedFeedback(rng.integers(2, size=n), np.full(n, 0.5), (rng.random(n) < 0.6) * 1.0)
    old, new = np.tile([0.3, 0.5, 0.2], (n, 1)), np.tile([0.4, 0.2, 0.4], (n, 1))
    text, unknown = unsupported(log, new - old, names, None)
    assert text.startswith("moving to new in all queries")
    assert unknown.sum(axis=0).tolist() == [0, 0, n]
    worst, guess = worst_case(log, new - old, np.full((n, 3), 0.6), unknown)
    lost = difference(worst, new, old, guess).mean()
    assert lost == pytest.approx(0.1 * 0.6 - 0.3 * 0.6 + 0.2 * 0.0, abs=0.02)
    _, unknown = unsupported(log, old - new, names, None)  # away from what is not known
    worst, guess = worst_case(log, old - new, np.full((n, 3), 0.6), unknown)
    left = difference(worst, old, new, guess).mean()
    assert left == pytest.approx(-0.1 * 0.6 + 0.3 * 0.6 - 0.2 * 1.0, abs=0.02)


def test_a_collapsed_champion_may_go_though_some_of_its_traffic_moves_into_the_unknown() -> None:
    rng = np.random.default_rng(0)
    quality = rng.choice([0.0, 1.0], size=2_000, p=[0.6, 0.4])

    def judged(lost: float) -> Condition:
        rows = PairedRows(
            opponent="champion",
            quality_difference=quality,
            cost_difference=np.zeros(2_000),
            group_id=np.arange(2_000),
            labelled_rows=2_000,
            candidates=("a", "b"),
            shift=traffic_shift(np.tile([1.0, 0.0], (2_000, 1)), np.tile([0.0, 1.0], (2_000, 1))),
            basis="",
            queries=(),
            unsupported="moving to b",
            worst_quality_difference=quality - lost,
        )
        gate = Gate(mode="superior")
        return check_support(rows, gate.judge(quality - lost, np.zeros(2_000)))

    assert judged(0.1).passed
    assert "if all of that were answered wrongly" in judged(0.1).reason
    assert not judged(0.4).passed


def test_a_gate_without_data_says_so(store: Path) -> None:
    add(store / "a", "candidate-1")
    with pytest.raises(DataError, match="joined log or a matrix"):
        promote.run(PromoteConfig())


@pytest.mark.slow
def test_a_running_service_follows_promotion_and_rollback(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_SERVE_POLL_INTERVAL_S", "0.5")
    matrix = write_matrix(store / "matrix.parquet")
    add(store / "a", "candidate-2")
    promote.run(PromoteConfig(matrix=matrix, **NAMED))
    with running_service("models:/router@champion") as address:
        assert post(f"{address}/v1/route", {"query": "Mix"})["candidate"] == "candidate-2"
        add(store / "b", "candidate-1")
        assert promote.run(PromoteConfig(matrix=matrix, **PATIENT)).passed
        assert _waits_for(address, "candidate-1")
        promote.rollback()
        assert _waits_for(address, "candidate-2")


def _waits_for(address: str, candidate: str, limit_s: float = 60.0) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if post(f"{address}/v1/route", {"query": "Mix"})["candidate"] == candidate:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_the_mlflow_project_rolls_back(store: Path) -> None:
    matrix = write_matrix(store / "matrix.parquet", n=100)
    for folder, policy in (("a", "candidate-1"), ("b", "candidate-2")):
        add(store / folder, policy)
        promote.run(PromoteConfig(matrix=matrix, **NAMED))
    scripts = Path(sys.executable).parent
    command = [str(scripts / "mlflow"), "run", str(REPOSITORY), "--env-manager", "local"]
    environ = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "-e", "rollback"], env=environ, capture_output=True, text=True, cwd=store
    )
    assert done.returncode == 0, done.stderr
    assert champion_version() == "1"
