"""The machine's clock jumps back a day and forth a week: nothing stops, nothing is lost."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from router_ml.decision_log.verify import log_files, verify
from tests.serving.conftest import serving_process

DAY_S = 86_400
JUMPING = """
import pathlib, time
_offset = pathlib.Path(__file__).with_name("offset")
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + int(_offset.read_text())
time.time_ns = lambda: _time_ns() + int(_offset.read_text()) * 10**9
"""
"""As ``sitecustomize.py``, imported before anything else."""


def test_the_clock_jumps(tmp_path: Path, bundle: Path) -> None:
    path, log = tmp_path / "path", tmp_path / "decisions"
    path.mkdir()
    (path / "sitecustomize.py").write_text(JUMPING)
    offset = path / "offset"
    offset.write_text("0")
    ids: list[str] = []
    settings: dict[str, Any] = {"bundle": bundle, "decision_log": log, "session_ttl_s": 600}
    with serving_process(tmp_path / "log", first_on_path=path, **settings) as (client, _):
        for jump in (0, -DAY_S, 7 * DAY_S, 0):
            scratch = path / "new"
            scratch.write_text(str(jump))
            scratch.replace(offset)
            for i in range(20):
                body = {"query": f"Mix {i}.", "session_id": f"s-{i % 3}"}
                answer = client.post("/v1/route", json=body)
                assert answer.status_code == 200, answer.text
                ids.append(answer.json()["decision_id"])
            said = {"decision_id": ids[-1], "quality": 1.0}
            first, again = (client.post("/v1/feedback", json=said) for _ in range(2))
            assert (first.json()["status"], again.json()["status"]) == ("recorded", "unchanged")
            ready = client.get("/readyz").json()
            assert (ready["status"], ready["reasons"]) == ("ready", [])
    assert ids == sorted(ids), "ids rise within a process, whatever the clock does"
    lines = [line for p in log_files([log]) for line in p.read_text().splitlines()]
    rows = [row for row in map(json.loads, lines) if row["kind"] == "decision"]
    assert [row["decision_id"] for row in rows] == ids
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert (times[0] - times[20]).total_seconds() > DAY_S - 600
    assert (times[40] - times[20]).total_seconds() > 8 * DAY_S - 600
    assert not verify(log_files([log])).findings
