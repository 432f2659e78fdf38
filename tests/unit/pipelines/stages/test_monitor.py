"""The monitor of a decision log: what it finds, that it goes on, that it is quiet."""

from __future__ import annotations

import html
import math
from pathlib import Path

import numpy as np
import pytest

from pipelines.config import MonitorConfig
from pipelines.monitor.watch import ALARMS, STATE, Watch, read_alarms
from pipelines.registry.tracking import load_mlflow
from pipelines.stages import monitor
from router_ml.errors import ConfigError
from router_ml.features.query import Query
from router_ml.monitoring.traffic import TrafficReference, cluster_reference
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.decision_rows import CANDIDATES, write_decisions


def collapsed(i: int, candidate: str) -> float:
    return 0.3 if candidate == "small" and i >= 600 else 0.85


def test_collapse_is_found_with_its_moment_and_what_it_was(tmp_path: Path) -> None:
    log = write_decisions(tmp_path / "log", 900, right=collapsed)
    output = monitor.run(MonitorConfig(log=(log,), output=tmp_path / "out"))
    (alarm,) = [a for a in read_alarms(output / ALARMS) if a.signal == "quality"]
    assert (alarm.candidate, alarm.segment, alarm.worse) == ("small", None, True)
    assert alarm.action == "mask"
    assert alarm.since_low <= "2026-03-02T09:40:05" <= alarm.since_high
    assert alarm.after < 0.45 < 0.75 < alarm.expected
    assert alarm.log_e >= alarm.threshold == -math.log(0.05)
    assert alarm.n_after < 60
    page = (output / "monitor.html").read_text(encoding="utf-8")
    assert alarm.text in html.unescape(page)
    assert "<svg" in page
    assert "<script" not in page
    metrics = (output / "metrics.prom").read_text(encoding="utf-8")
    labels = 'action="mask",candidate="small",signal="quality"'
    assert f"router_monitor_alarms_total{{{labels}}} 1.0" in metrics
    assert "router_monitor_decisions_total 900.0" in metrics


def test_a_log_read_in_parts_gives_the_same_alarms(tmp_path: Path) -> None:
    whole = write_decisions(tmp_path / "log", 900, right=collapsed)
    (path,) = whole.glob("*.jsonl")
    growing = tmp_path / "growing"
    growing.mkdir()
    config = MonitorConfig(log=(growing,), output=tmp_path / "parts")
    data = path.read_bytes()
    for end in (len(data) // 3, len(data) // 2, len(data)):  # in the middle of lines
        (growing / path.name).write_bytes(data[:end])
        monitor.run(config)
    monitor.run(config)  # nothing is new
    at_once = monitor.run(MonitorConfig(log=(whole,), output=tmp_path / "whole"))
    parts, once = read_alarms(tmp_path / "parts" / ALARMS), read_alarms(at_once / ALARMS)
    assert [(a.candidate, a.signal, a.since) for a in parts] == [
        (a.candidate, a.signal, a.since) for a in once
    ]


def test_a_killed_monitor_says_nothing_twice(tmp_path: Path) -> None:
    log = write_decisions(tmp_path / "log", 900, right=collapsed)
    config = MonitorConfig(log=(log,), output=tmp_path / "out")
    Watch(config)
    state = (tmp_path / "out" / STATE).read_bytes()
    monitor.run(config)
    said = (tmp_path / "out" / ALARMS).read_bytes()
    (tmp_path / "out" / STATE).write_bytes(state)  # killed when alarms were written, the state not
    write_decisions(log, 50, first=900, right=collapsed)
    monitor.run(config)
    assert said
    assert (tmp_path / "out" / ALARMS).read_bytes() == said


def test_quiet_log_raises_nothing(tmp_path: Path) -> None:
    log = write_decisions(tmp_path / "log", 1_500, told=0.7)
    output = monitor.run(MonitorConfig(log=(log,), output=tmp_path / "out"))
    assert read_alarms(output / ALARMS) == []


def test_each_signal_is_tested(tmp_path: Path) -> None:
    def report(i: int, candidate: str) -> dict[str, object]:
        failed = candidate == "large" and i >= 700 and i % 2 == 0
        return {"status": "failure", "quality": None} if failed else {}

    log = write_decisions(
        tmp_path / "log",
        1_000,
        latency=lambda i, candidate: 1_600.0 if candidate == "small" and i >= 700 else 800.0,
        report=report,
    )
    output = monitor.run(MonitorConfig(log=(log,), output=tmp_path / "out"))
    found = {(a.candidate, a.signal) for a in read_alarms(output / ALARMS)}
    assert found == {("small", "latency_ms"), ("large", "errors")}


def test_a_new_router_is_judged_by_its_own_predictions(tmp_path: Path) -> None:
    write_decisions(tmp_path / "log", 300)
    write_decisions(tmp_path / "log", 300, first=300, bundle_id="b2", right=lambda i, c: 0.75)
    watch = Watch(MonitorConfig(log=(tmp_path / "log",), output=tmp_path / "out"))
    assert watch.look() == []
    assert {len(m.streams) > 0 for m in watch.monitors.values()} == {True}
    assert [*watch.monitors] == ["b1", "b2"]


def test_a_new_price_is_found_within_a_few_bills(tmp_path: Path) -> None:
    def bill(i: int, candidate: str) -> dict[str, object]:
        times = 4.0 if candidate == "large" and i >= 500 else 1.0
        return {"cost_usd": times * (100 * 3.0 + 50 * 15.0) / 1e6, "output_tokens": 50}

    log = write_decisions(tmp_path / "log", 512, report=bill)
    output = monitor.run(MonitorConfig(log=(log,), output=tmp_path / "out"))
    (alarm,) = read_alarms(output / ALARMS)
    assert (alarm.signal, alarm.candidate, alarm.before) == ("price", "large", 0.0)
    assert alarm.n_after <= 10


def test_one_task_that_fails_is_named(tmp_path: Path) -> None:
    def right(i: int, candidate: str) -> float:
        return 0.25 if candidate == "large" and i >= 600 and i % 2 == 0 else 0.85

    log = write_decisions(tmp_path / "log", 800, right=right)
    output = monitor.run(MonitorConfig(log=(log,), output=tmp_path / "out"))
    (alarm, *_) = [a for a in read_alarms(output / ALARMS) if a.signal == "quality"]
    assert (alarm.candidate, alarm.segment) == ("large", ("task", "sql"))
    assert alarm.action == "retrain"  # a mask would take all tasks from it


def test_a_kind_of_query_that_nobody_named_is_found(tmp_path: Path) -> None:
    said = [("solve the integral", "translate the poem")[i % 2] for i in range(900)]
    make_bundle(tmp_path / "first", names=CANDIDATES, reference={})
    embedding = Runtime.from_folder(tmp_path / "first").embeddings([Query(text) for text in said])
    assert embedding is not None
    clusters = cluster_reference(embedding, np.ones(len(said)), n_clusters=2)
    (of_first,) = map(int, TrafficReference({"clusters": clusters}).clusters(embedding[:1]))
    clusters["names"] = ["poems", "poems"]
    clusters["names"][of_first] = "integrals"
    manifest = make_bundle(tmp_path / "b", names=CANDIDATES, reference={"clusters": clusters})

    def right(i: int, candidate: str) -> float:
        return 0.25 if candidate == "large" and i >= 600 and i % 2 == 0 else 0.85

    log = write_decisions(
        tmp_path / "log", 900, right=right, bundle_id=manifest.bundle_id, query=said.__getitem__,
        task=lambda i: None,
    )  # fmt: skip
    config = MonitorConfig(log=(log,), output=tmp_path / "out", bundle=tmp_path / "b")
    alarms = read_alarms(monitor.run(config) / ALARMS)
    (alarm, *_) = [a for a in alarms if a.signal == "quality"]
    assert (alarm.candidate, alarm.segment) == ("large", ("cluster", "integrals"))
    assert "quality of large on cluster integrals changed" in alarm.text


def test_alarms_become_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    log = write_decisions(tmp_path / "log", 800, right=collapsed)
    config = MonitorConfig(log=(log,), output=tmp_path / "out", experiment="drift")
    output = monitor.run(config)
    (alarm,) = read_alarms(output / ALARMS)
    mlflow = load_mlflow()
    (run,) = mlflow.search_runs(experiment_names=["drift"], output_format="list")
    assert run.data.tags["alarm_id"] == alarm.alarm_id
    assert run.data.metrics["after"] == pytest.approx(alarm.after)


def test_unknown_actions_are_refused() -> None:
    with pytest.raises(ConfigError, match="actions are by signal"):
        MonitorConfig(log=(Path("log"),), actions={"beauty": "mask"})
