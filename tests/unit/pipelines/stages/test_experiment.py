"""Which decisions an experiment's report is of: champions and challengers come and go meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import ExperimentConfig, PromoteConfig
from pipelines.decision_log import experiment as command
from pipelines.loop import experiment as loop_experiment
from pipelines.loop import shadow
from pipelines.loop.partitions import decision_files
from pipelines.stages import experiment
from router_ml.errors import DataError

BEGIN = datetime(2026, 1, 1)
QUALITY = {"2": 0.85, "3": 0.30, "4": 0.75, "9": 0.0}
Row = tuple[str, str]
"""Arm and version."""


def served(champions: Sequence[str], n: int, challenger: str = "4") -> list[Row]:
    """``n`` sessions under each champion in turn, every other one the challenger's."""
    return [
        ("challenger", challenger) if i % 2 else ("default", champion)
        for champion in champions
        for i in range(n)
    ]


def logged(root: Path, rows: Iterable[Row], **columns: Any) -> tuple[Path, Path]:
    """Log and joined folder of sessions, a minute apart."""
    rng = np.random.default_rng(0)
    lines, quality = [], []
    for i, (arm, version) in enumerate(rows):
        row = {
            "kind": "decision", "decision_id": f"d{i}", "experiment": "e", "challenger_share": 0.5,
            "time": (BEGIN + timedelta(minutes=i)).isoformat(), "arm": arm, "unit": f"u{i}",
            "router_version": version,
            "ranking": [{"quality": 0.5, "utility": 0.5 - 2e-3 * float(version), "cost_usd": 2e-3}],
        }  # fmt: skip
        lines.append(json.dumps(row | columns, separators=(",", ":")) + "\n")
        quality.append(float(rng.random() < QUALITY[version]))
    (root / "log").mkdir()
    (root / "log" / "decisions-a.jsonl").write_text("".join(lines), encoding="utf-8")
    n = len(lines)
    table = {"decision_id": [f"d{i}" for i in range(n + 5)], "quality": [*quality, *5 * [None]],
             "cost_usd": [1e-3] * (n + 5), "latency_ms": [None] * n + [1.0] * 5}  # fmt: skip
    (root / "joined").mkdir()
    pq.write_table(pa.table(table), root / "joined" / "outcomes.parquet")
    return root / "log", root / "joined"


def config(at: tuple[Path, Path], **changes: Any) -> ExperimentConfig:
    return ExperimentConfig(action="report", log=at[:1], joined=at[1], **changes)


def test_a_challenger_is_compared_with_the_champion_that_came_back(tmp_path: Path) -> None:
    at = logged(tmp_path, served(["2", "3", "2"], 800))
    mixed = experiment.run(config(at, version="4"))
    assert mixed.report.metrics["quality"].lift.low > 0.0
    found = experiment.run(config(at, version="4", champion="2"))
    assert found.report.units == (400, 400)
    lift = found.report.metrics["quality"].lift
    error = np.sqrt(sum(q * (1.0 - q) for q in (QUALITY["2"], QUALITY["4"])) / 400)
    assert lift.value == pytest.approx(QUALITY["4"] - QUALITY["2"], abs=3.0 * error)
    assert found.note == ""


def test_the_loop_does_not_promote_one_that_is_worse_than_the_champion(tmp_path: Path) -> None:
    log, joined = logged(tmp_path, served(["3", "2"], 800))
    question = PromoteConfig(joined=joined, mode="superior")
    asked: dict[str, Any] = {"version": "4", "since": BEGIN, "planned_units": 1_000}
    files = [*log.iterdir()]
    assert loop_experiment.look(files, question, champion="2", **asked).verdict != "passed"
    waits = loop_experiment.look(files, question, champion="3", **asked)
    assert waits.verdict == "too early"
    assert "version 4 beside champion 3 alone" in waits.text
    assert "champions are 3, 2 and challengers 4" in waits.text


def test_a_report_of_several_versions_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = logged(tmp_path, [*served(["3", "2"], 200, "9"), *served(["2"], 200)])
    command(config(at))
    said = " ".join(capsys.readouterr().out.split())
    assert "champion's arm is of versions 3, 2 together: with --champion 2" in said
    assert "challenger's arm is of versions 9, 4 together: with --version 4" in said
    command(config(at, version="4", champion="2"))
    assert "together" not in capsys.readouterr().out


def test_what_a_challenger_left_to_the_champion_stays_in_its_arm(tmp_path: Path) -> None:
    left = [*served(["2"], 400), *[("challenger", "2")] * 100]
    found = experiment.run(config(logged(tmp_path, left), version="4", champion="2"))
    assert found.report.units == (199, 299)  # from the first of both on


def test_only_decisions_since_a_time_are_read(tmp_path: Path) -> None:
    at = logged(tmp_path, served(["2"], 400))
    found = experiment.run(config(at, since=BEGIN + timedelta(minutes=200)))
    assert found.report.units == (100, 100)
    assert np.isnan(found.report.metrics["latency_ms_p50"].lift.value)
    with pytest.raises(DataError, match="no decision of an experiment: set CHALLENGER"):
        experiment.run(config(at, since=BEGIN + timedelta(days=9)))


def test_utility_is_at_the_cost_weight_of_the_champion_that_is_counted(tmp_path: Path) -> None:
    found = experiment.run(config(logged(tmp_path, served(["2", "3"], 200)), champion="3"))
    metrics = found.report.metrics
    one, other = metrics["quality"], metrics["utility"]
    assert one.champion - other.champion == pytest.approx(3.0 * 1e-3)


def test_files_of_a_pattern_are_those_that_the_loop_looks_at(tmp_path: Path) -> None:
    log, _ = logged(tmp_path, served(["2"], 100))
    for name in (str(log), f"{log}/*.jsonl", f"{log}/decisions-a.jsonl"):
        assert shadow.look(decision_files([name]), "4").requests == 50
    assert decision_files([f"{log}/nothing-*.jsonl"]) == ()
