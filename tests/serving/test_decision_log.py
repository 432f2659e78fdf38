"""Decisions and feedback over HTTP end as durable rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.config import JoinConfig
from pipelines.stages.join import run as join
from router_ml.policies.uniform import RandomPolicy
from tests.bundles import make_bundle
from tests.cascades import cascade_extras
from tests.serving.conftest import serve, serving_process

Row = dict[str, Any]
NAMES = ("candidate-0", "candidate-1", "candidate-2")


def rows(folder: Path) -> list[Row]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("decisions-*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def wait(find: Callable[[], list[Row]], n: int = 1) -> list[Row]:
    deadline = time.monotonic() + 10
    while len(found := find()) < n and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_a_decision_is_logged_with_what_it_was_drawn_from(
    client: httpx.Client, decisions: Path
) -> None:
    request = {
        "query": "Mix blue.",
        "request_id": "log-1",
        "session_id": "s-1",
        "tags": ["a"],
        "candidates": ["candidate-0", "candidate-2"],
    }
    answer = client.post("/v1/route", json=request).json()
    (row,) = wait(lambda: [r for r in rows(decisions) if r.get("request_id") == "log-1"])
    assert row["kind"] == "decision"
    assert row["decision_id"] == answer["decision_id"]
    assert row["session_id"] == "s-1"
    assert row["tags"] == ["a"]
    assert row["arm"] == "default"
    assert row["candidates"] == ["candidate-0", "candidate-1", "candidate-2"]
    assert row["action_probs"][1] == 0.0
    assert sum(row["action_probs"]) == 1.0
    chosen = row["candidates"].index(row["candidate"])
    assert row["propensity"] == row["action_probs"][chosen] == answer["propensity"]
    assert row["ranking"] == answer["ranking"]
    assert row["query"] == "Mix blue."
    assert row["bundle_id"] == row["router_version"]


def test_feedback_is_idempotent(client: httpx.Client, decisions: Path) -> None:
    decision_id = client.post("/v1/route", json={"query": "Mix blue."}).json()["decision_id"]
    body = {"decision_id": decision_id, "name": "thumbs", "quality": 1.0, "cost_usd": 0.002}
    first = client.post("/v1/feedback", json=body)
    assert first.status_code == 202
    assert first.json() == {"decision_id": decision_id, "name": "thumbs", "status": "recorded"}
    assert client.post("/v1/feedback", json=body).json()["status"] == "unchanged"
    assert client.post("/v1/feedback", json=body | {"quality": 0.0}).json()["status"] == "recorded"

    def find() -> list[Row]:
        mine = [r for r in rows(decisions) if r["decision_id"] == decision_id]
        return [r for r in mine if r["kind"] == "feedback"]

    found = wait(find, 2)
    assert [row["quality"] for row in found] == [1.0, 0.0]
    assert found[0]["time"] < found[1]["time"]
    assert found[0]["cost_usd"] == 0.002


def test_nothing_is_lost_by_an_orderly_stop_and_text_stays_out(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", policy=RandomPolicy())
    folder = tmp_path / "decisions"
    options = {"bundle": tmp_path / "bundle", "decision_log": folder, "log_rotate_bytes": 20_000}
    with serve(tmp_path / "log", **options, random_state=1) as client:
        answers = [
            client.post("/v1/route", json={"query": "my-secret-prompt"}).json() for _ in range(200)
        ]
        batch = client.post("/v1/route/batch", json={"requests": [{"query": "b"}] * 50}).json()
        answers += batch["decisions"]
        client.post("/v1/feedback", json={"decision_id": answers[-1]["decision_id"]})
    found = rows(folder)
    logged = [row["decision_id"] for row in found if row["kind"] == "decision"]
    assert logged == [answer["decision_id"] for answer in answers]
    assert logged == sorted(logged)
    assert found[-1]["kind"] == "feedback"
    assert len(list(folder.glob("*.jsonl"))) > 1
    assert "my-secret-prompt" not in "".join(p.read_text() for p in folder.iterdir())
    # a uniform draw over three candidates, five standard errors wide
    share = sum(row["candidate"] == "candidate-0" for row in found if "candidate" in row) / 250
    assert abs(share - 1 / 3) < 5 * (2 / 9 / 250) ** 0.5
    assert all(abs(row["propensity"] - 1 / 3) < 1e-12 for row in found if "propensity" in row)


def test_a_killed_process_loses_at_most_what_is_stated(tmp_path: Path, bundle: Path) -> None:
    """SIGKILL amid traffic: all but the last ``log_flush_s`` is there, and can be joined."""
    folder, flush_s = tmp_path / "decisions", 0.1
    options = {"bundle": bundle, "decision_log": folder, "log_flush_s": flush_s, "log_text": "true"}
    answered: list[tuple[float, str]] = []
    with serving_process(tmp_path / "log", **options) as (client, process):
        begin = time.monotonic()
        while time.monotonic() < begin + 1.5:
            answer = client.post("/v1/route", json={"query": f"Mix {len(answered)}."}).json()
            answered.append((time.monotonic(), answer["decision_id"]))
        process.kill()
        killed = time.monotonic()
        process.wait(20)
    (path,) = folder.iterdir()
    *lines, rest = path.read_bytes().split(b"\n")
    written = [json.loads(line)["decision_id"] for line in lines]
    ids = [decision_id for _, decision_id in answered]
    assert written == ids[: len(written)]  # in order, nothing missing in between
    slack_s = 1.0  # the writing thread of a busy machine
    due = sum(moment < killed - flush_s - slack_s for moment, _ in answered)
    assert due > 0
    assert len(written) >= due
    path.write_bytes(b"\n".join(lines) + b"\n" + (rest or b'{"kind": "decision", "decis'))
    prices = {name: {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6} for name in NAMES}
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    config = JoinConfig(
        decisions=(str(folder),), prices=(str(tmp_path / "prices.json"),), output=tmp_path / "out"
    )
    report = json.loads((join(config) / "report.json").read_text())
    account = report["accounting"]["decisions"]
    assert account["used"] == len(written)
    assert account["excluded"] == {"torn_line": 1}


def test_every_worker_writes_a_file_of_its_own(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "workers": 2}
    ids = set()
    with serve(tmp_path / "log", **options) as client:
        wait(lambda: [{"path": path} for path in folder.glob("*.jsonl")], 2)
        for _ in range(60):
            answer = httpx.post(f"{client.base_url}/v1/route", json={"query": "Mix."}, timeout=20)
            ids.add(answer.json()["decision_id"])
    assert len({path.name.split("-")[2] for path in folder.iterdir()}) == 2
    assert {row["decision_id"] for row in rows(folder)} == ids
    assert len(ids) == 60


@pytest.mark.parametrize("log_text", [True, False])
def test_cascade_steps_are_logged_with_the_answers_so_far(tmp_path: Path, log_text: bool) -> None:
    make_bundle(tmp_path / "bundle", extras=cascade_extras())
    folder = tmp_path / "decisions"
    function = {"name": "f", "arguments": '{"x": "my-secret-argument"}'}
    turns = [
        {
            "candidate": "candidate-0",
            "text": "my-secret-answer",
            "tool_calls": [{"type": "function", "function": function}],
            "function_call": {"name": "my-secret-function"},
            "cost_usd": 0.001,
        }
    ]
    options = {"bundle": tmp_path / "bundle", "decision_log": folder, "log_text": log_text}
    with serve(tmp_path / "log", **options) as client:
        for body in ({"query": "Mix blue.", "request_id": "r-1"}, {"query": "Mix blue."}):
            answers = turns if "request_id" not in body else []
            step = client.post("/v1/cascade/next", json={**body, "answers": answers}).json()
        feedback = {"decision_id": step["decision_id"], "quality": 1.0}
        assert client.post("/v1/feedback", json=feedback).status_code == 202
    first, second, told = rows(folder)
    assert (first["kind"], first["request_id"], first["action"]) == ("cascade", "r-1", "escalate")
    assert second["decision_id"] == told["decision_id"] == step["decision_id"]
    assert (second["action"], second["candidate"]) == (step["action"], step["candidate"])
    assert second["answers"][0]["cost_usd"] == 0.001
    assert second["estimates"] == step["estimates"]
    assert (first["policy"], first["propensity"], first["action_probs"]) == ("cascade", 1.0, None)
    written = "".join(path.read_text() for path in folder.iterdir())
    for secret in ("my-secret-answer", "my-secret-argument", "my-secret-function", "Mix blue."):
        assert (secret in written) == log_text


def test_feedback_without_a_log_is_refused(tmp_path: Path, bundle: Path) -> None:
    with serve(tmp_path / "log", bundle=bundle) as client:
        response = client.post("/v1/feedback", json={"decision_id": "x"})
        assert response.status_code == 503
        assert "ROUTER_SERVE_DECISION_LOG" in response.json()["detail"]
