"""Counters of ended workers stay, gauges do not; the worst of the running ones holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from serving.metrics.snapshot import Beat, Snapshot, of_all, write


def worker(pid: int, n: float) -> Snapshot:
    return Snapshot(
        pid=pid,
        counters={"decisions": {"a": n}},
        histograms={"route": [1, 2]},
        seconds={"route": 0.5},
        gauges={"waiting_rows": n, "reload_failing": float(n > 1)},
        beats={"log": Beat(n, n > 1, int(n))},
    )


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_sum_of_workers(tmp_path: Path) -> None:
    write(tmp_path, worker(os.getppid(), 2))  # runs
    write(tmp_path, worker(ended_pid(), 4))
    write(tmp_path, worker(os.getpid(), 100))  # an older one of its own
    (tmp_path / f"metrics-{ended_pid()}.json").write_text("{")  # cut short
    total = of_all(tmp_path, worker(os.getpid(), 1))
    assert total.counters == {"decisions": {"a": 7}}
    assert total.histograms == {"route": [3, 6]}
    assert total.seconds == {"route": 1.5}
    assert total.gauges == {"waiting_rows": 3, "reload_failing": 1.0}
    assert total.beats["log"] == Beat(2, True, 3)
