"""Three rounds of the closed loop: a real service, its decision log, a registry, the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.simulation import simulate
from pipelines.simulation.config import SimulateConfig
from tests.promotion_world import MLFLOW_WARNINGS

pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*MLFLOW_WARNINGS)]


def test_the_loop_notices_a_degradation_and_the_service_follows(tmp_path: Path) -> None:
    config = SimulateConfig(
        output=tmp_path / "run",
        rounds=3,
        requests=300,
        history=1_500,
        label_share=0.8,
        added_at=2,
        degraded_at=1,
        repriced_at=2,
        kept=0.1,
        quality={"name": "linear"},
    )
    simulate.run(config)
    found = json.loads((tmp_path / "run" / simulate.RESULT).read_text())
    assert [row["n"] for row in found["rounds"]] == [300] * 3
    served = [version for row in found["rounds"] for version in row["versions"]]
    assert served[0] == "1"
    assert len(set(served)) > 1  # the running service followed the alias
    assert "1" in found["rounds"][1]["versions"]  # it follows within a round
    after = next(row for row in found["retrainings"] if row["round"] == 1 and row["promoted"])
    assert "alarm: quality of" in after["because"]
    degraded = found["rounds"][1]["events"][0].split()[0]
    assert degraded in [change["candidate"] for change in after["changes"]]
    assert found["summary"]["recovery_requests"] <= 300.0
    standing = {row["version"]: row["quality"] for row in found["standings"]}
    assert standing[after["version"]] > found["summary"]["quality_degraded"] + 0.1
    assert (tmp_path / "run" / simulate.FIGURE).stat().st_size > 10_000
    # the last join rests on every decision that was made
    joined = sorted((tmp_path / "run" / "loop" / "cycles").iterdir())[-1] / "joined"
    account = json.loads((joined / "report.json").read_text())["accounting"]
    assert account["decisions"]["used"] == 900
    assert account["feedback"]["in"] == account["feedback"]["used"]
