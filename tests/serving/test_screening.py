"""Semantic routes and guards in a real service: masks on every endpoint, logged without text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_ml.errors import ConfigError
from router_ml.integrations.guard_server import guard_server
from serving.screening import Screening
from tests.bundles import make_bundle
from tests.semantic_routes import routes_folder
from tests.serving.conftest import serve

SECRET = "ada@example.org"
PAINT = "how to mix blue paint and yellow paint color"


def rules(url: str) -> dict[str, Any]:
    return {
        "semantic_routes": {
            "folder": "routes",
            "routes": {
                "paint": {"candidates": ["candidate-2"]},
                "code": {"candidates": ["gone-tomorrow"]},
            },
        },
        "guards": [{"name": "pii", "url": url, "requires": ["region:eu"], "timeout_ms": 5_000}],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screening")
    routes_folder(folder / "routes")
    able = {"candidate-0": ["region:eu"], "candidate-2": ["region:us"]}
    make_bundle(folder / "bundle", capabilities=able)
    make_bundle(folder / "silent")
    return folder


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[httpx.Client]:
    server = guard_server(lambda texts: {"EMAIL"} if any("@" in t for t in texts) else set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = folder / "rules.json"
    file.write_text(json.dumps(rules(f"http://127.0.0.1:{server.server_port}")))
    try:
        with serve(
            folder / "log", bundle=folder / "bundle", rules_file=file, decision_log=folder / "log.d"
        ) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()


def route(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/route", json=body)
    assert answer.status_code == 200, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


def test_a_route_fixes_the_candidate_and_the_answer_says_so(guarded: httpx.Client) -> None:
    decision = route(guarded, query=PAINT)
    assert decision["rules"] == ["route:paint"]
    assert [line["candidate"] for line in decision["ranking"]] == ["candidate-2"]
    assert {line["reason"] for line in decision["removed"]} == {"not for route:paint"}


def test_a_stranger_is_left_to_the_router(guarded: httpx.Client) -> None:
    decision = route(guarded, query="translate the weather in french and find the price")
    assert decision["rules"] == []
    assert len(decision["ranking"]) == 3


def test_a_route_that_would_leave_nobody_is_set_aside(guarded: httpx.Client) -> None:
    decision = route(guarded, query="write the python code of a python function")
    assert decision["rules"] == ["route:code"]
    assert len(decision["ranking"]) == 3
    decision = route(guarded, query=PAINT, candidates=["candidate-0"])
    assert decision["candidate"] == "candidate-0"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": f"Write to {SECRET}"}],
        [{"role": "system", "content": SECRET}, {"role": "user", "content": "Hello"}],
        [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "tool", "content": f"found {SECRET}", "tool_call_id": "c"},
        ],
    ],
)
def test_what_a_guard_flags_anywhere_stays_in_its_region(
    guarded: httpx.Client, messages: list[Any]
) -> None:
    decision = route(guarded, messages=messages)
    assert decision["rules"] == ["guard:pii(EMAIL)"]
    assert [line["candidate"] for line in decision["ranking"]] == ["candidate-0"]


def test_no_endpoint_lets_a_flagged_request_by(guarded: httpx.Client) -> None:
    query = f"Write to {SECRET}"
    batch = guarded.post("/v1/route/batch", json={"requests": [{"query": query}]}).json()
    assert batch["decisions"][0]["candidate"] == "candidate-0"
    step = guarded.post("/v1/cascade/next", json={"query": query}).json()
    assert step["candidate"] == "candidate-0"
    choices = [{"value": f"candidate-{i}", "description": ""} for i in range(3)]
    question = {"type": "choice", "name": "who", "instructions": "", "choices": choices}
    body = {"model": "router", "input": query, "questions": [question]}
    answer = guarded.post("/v1/decisions", json=body).json()
    assert answer["answers"][0]["choice"] == "candidate-0", answer
    # A firm rule is firmer than what the caller wants.
    refused = guarded.post("/v1/route", json={"query": query, "candidates": ["candidate-2"]})
    assert refused.status_code == 409
    assert "region:eu" in refused.json()["detail"]
    assert SECRET not in refused.text


def test_the_log_has_the_rule_and_no_text(guarded: httpx.Client, folder: Path) -> None:
    decision = route(guarded, query=f"Write to {SECRET}")
    guarded.post("/v1/feedback", json={"decision_id": decision["decision_id"], "quality": 1})
    text = "".join(path.read_text() for path in (folder / "log.d").rglob("*.jsonl"))
    assert SECRET not in text
    rows = [json.loads(line) for line in text.splitlines()]
    [row] = [row for row in rows if row.get("decision_id") == decision["decision_id"]
             and row["kind"] == "decision"]  # fmt: skip
    assert row["limits"]["rules"][0]["name"] == "guard:pii(EMAIL)"


def test_a_guard_that_is_down_flags_and_no_request_fails(folder: Path, tmp_path: Path) -> None:
    file = folder / "down.json"
    file.write_text(json.dumps(rules("http://127.0.0.1:9")))
    with serve(tmp_path / "log", bundle=folder / "bundle", rules_file=file) as client:
        for _ in range(20):
            decision = route(client, query="hello")
            assert decision["rules"] == ["guard:pii(unavailable)"]
            assert decision["candidate"] == "candidate-0"


def test_a_catalogue_that_says_nothing_of_regions_lets_no_flagged_request_out(
    folder: Path, tmp_path: Path
) -> None:
    file = folder / "down.json"
    file.write_text(json.dumps(rules("http://127.0.0.1:9")))
    with serve(tmp_path / "log", bundle=folder / "silent", rules_file=file) as client:
        answer = client.post("/v1/route", json={"query": "hello"})
    assert answer.status_code == 409
    assert "lacks region:eu" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"guard": []}, "guards, semantic_routes, got"),
        ({"guards": [{"name": "a", "requires": ["x"]}]}, "either url or factory"),
        ({"guards": [{"name": "a", "url": "http://a"}]}, "needs candidates or requires"),
        ({"guards": [{"name": "a", "factory": "no.such:thing", "requires": ["x"]}]}, "cannot be"),
        ({"guards": [{"name": "a", "url": "http://a", "requires": "x"}]}, "list of names"),
        ({"semantic_routes": {"folder": "routes", "routes": {"pain": {}}}}, "code, maths, paint"),
    ],
)
def test_a_wrong_file_says_what_was_expected(folder: Path, given: object, said: str) -> None:
    file = folder / "wrong.json"
    file.write_text(json.dumps(given))
    with pytest.raises(ConfigError, match=said):
        Screening.from_file(file)
