"""All streams together: weights, and alarms that come back from JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np

from router_ml.monitoring.alarm import alarm_from
from router_ml.monitoring.monitor import Monitor
from router_ml.monitoring.signals import SIGNALS, Observations

START = np.datetime64("2026-03-02T08:00:00", "us")


def observations(n: int, right: float, seed: int, signal: str = "quality") -> Observations:
    rng = np.random.default_rng(seed)
    return Observations(
        signal=signal,
        label="check" if signal == "quality" else "",
        time=START + 1_000_000 * (np.arange(n) + seed * 10_000),
        candidate=rng.choice(["a", "b", "new"], n).tolist(),
        predicted=np.full(n, 0.8),
        observed=(rng.random(n) < right).astype(float),
        segments={"task": rng.choice([f"t{i}" for i in range(40)], n).tolist()},
    )


def test_the_error_rate_is_never_spent_twice() -> None:
    monitor = Monitor(candidates={"a": 0.9, "b": 0.1}, kinds=("task", "language"))
    for signal in SIGNALS:
        if signal != "traffic":
            monitor.update(observations(600, 0.8, 1, signal))
    monitor.update(replace(observations(200, 0.8, 2), label="another"))
    monitor.traffic("language", np.array([START]), {"en": (0.5, np.ones(1))}, 1)
    spent = sum(math.exp(stream.log_weight) for stream in monitor.streams.values())
    assert 0.5 < spent <= 1.0


def test_an_alarm_comes_back_from_json_and_the_monitor_goes_on() -> None:
    monitor = Monitor(candidates={"a": 0.5, "b": 0.5}, actions={"quality": "mask"})
    assert monitor.update(observations(600, 0.8, 1)) == []
    found = monitor.update(observations(300, 0.2, 2))
    assert {alarm.candidate for alarm in found} == {"a", "b", "new"}
    assert {alarm.action for alarm in found} == {"mask"}
    for alarm in found:
        assert alarm_from(json.loads(json.dumps(alarm.as_dict()))) == alarm
    assert monitor.update(observations(300, 0.2, 3)) == []  # it is what it is now
    better = monitor.update(observations(300, 0.8, 4))
    assert {alarm.worse for alarm in better} == {False}


def test_waiting_outcomes_survive_a_restart() -> None:
    monitor = Monitor(candidates={"a": 1.0})
    monitor.update(observations(10, 0.8, 1))
    assert not monitor.streams  # too few to tell right-or-wrong from a score
    again = Monitor(candidates={"a": 1.0})
    told, arrays = monitor.state()
    again.load(json.loads(json.dumps(told)), arrays)
    again.update(observations(40, 0.8, 2))
    assert sum(s.detector.n for s in again.streams.values() if s.log_weight) == 50
