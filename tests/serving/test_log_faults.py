"""A disk that is full, and files that are deleted: nothing acknowledged is lost."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import httpx

from tests.serving.conftest import serving_process


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for p in sorted(folder.iterdir()) for line in p.read_text().splitlines()
    ]


def say(client: httpx.Client, number: int) -> httpx.Response:
    return client.post("/v1/feedback", json={"decision_id": f"d-{number}", "quality": 1.0})


def test_a_full_disk(tmp_path: Path, bundle: Path) -> None:
    """The process may write no file longer than 20 kB: to it, that is a full disk."""
    folder = tmp_path / "decisions"
    with serving_process(tmp_path / "log", bundle=bundle, decision_log=folder) as (client, process):
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, hard))
        answers = [say(client, number) for number in range(150)]
        accepted = {n for n, answer in enumerate(answers) if answer.status_code == 202}
        refused = set(range(150)) - accepted
        assert accepted
        assert refused
        some = answers[max(refused)]
        assert some.status_code == 503
        assert some.headers["retry-after"] == "1"
        assert some.headers["content-type"] == "application/problem+json"
        decision = client.post("/v1/route", json={"query": "Mix blue."})
        assert decision.status_code == 200  # a full disk stops no decision
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert "decision log" in ready.json()["reasons"][0]
        assert 'router_background_failing{loop="decision_log"} 1.0' in client.get("/metrics").text
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        again = [say(client, number) for number in sorted(refused)]
        assert {answer.json()["status"] for answer in again} == {"recorded"}
        assert client.get("/readyz").json()["status"] == "ready"
    found = rows(folder)
    said = [row["decision_id"] for row in found if row["kind"] == "feedback"]
    assert sorted(said) == sorted(f"d-{number}" for number in range(150))
    assert decision.json()["decision_id"] in {row["decision_id"] for row in found}


def test_feedback_is_on_file_when_it_is_acknowledged(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "log_flush_s": 30}
    with serving_process(tmp_path / "log", **options) as (client, process):
        for number in range(20):
            assert say(client, number).status_code == 202
        process.kill()
        process.wait(20)
    assert [row["decision_id"] for row in rows(folder)] == [f"d-{n}" for n in range(20)]


def test_a_deleted_file_is_noticed(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    with serving_process(tmp_path / "log", bundle=bundle, decision_log=folder) as (client, _):
        say(client, 0)
        for path in folder.iterdir():
            path.unlink()
        assert say(client, 1).status_code == 202
        assert [row["decision_id"] for row in rows(folder)] == ["d-1"]


def test_large_feedback_takes_no_memory(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "log_fsync": "never"}
    with serving_process(tmp_path / "log", **options) as (client, process):
        say(client, 0)
        before = memory_mb(process.pid)
        answer = "x" * 900_000
        for number in range(300):
            body = {"decision_id": f"d-{number}", "quality": 1.0, "answer": answer}
            assert client.post("/v1/feedback", json=body).status_code == 202
        assert memory_mb(process.pid) - before < 100
        assert client.post("/v1/feedback", json=body).json()["status"] == "unchanged"


def memory_mb(pid: int) -> float:
    time.sleep(0.3)
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
