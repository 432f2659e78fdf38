"""Conversations over HTTP: what a provider has cached makes a switch cost what it costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_ml.features.query import parse_query
from router_ml.runtime.conditions import Conditions
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.replay import replay
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.serving.conftest import serve
from tests.unit.router_ml.runtime.test_conditions import PRICES

LONG = "Here is the story of a painter. " * 1_000
"""Eight thousand tokens, at four characters each."""
TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": LONG},
    {"role": "user", "content": "Mix blue."},
    {"role": "assistant", "content": "Done."},
    {"role": "user", "content": "And yellow?"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sessions")
    make_bundle(folder / "bundle")
    (folder / "prices.json").write_text(json.dumps(PRICES))
    return folder


@pytest.fixture(scope="module")
def talking(folder: Path) -> Iterator[httpx.Client]:
    paths = {"bundle": folder / "bundle", "prices_file": folder / "prices.json"}
    log = folder / "service.log"
    with serve(log, **paths, decision_log=folder / "log", log_flush_s=0.01) as client:
        yield client


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Runtime:
    return Runtime.from_folder(folder / "bundle", prices=PRICES)


def route(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/route", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def row_of(folder: Path, decision_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for path in (folder / "log").iterdir():
            for line in path.read_text().splitlines():
                row: dict[str, Any] = json.loads(line)
                if row.get("decision_id") == decision_id and row["kind"] == "decision":
                    return row
        time.sleep(0.02)
    raise AssertionError("no row")


def cached(folder: Path, answer: dict[str, Any]) -> dict[str, int] | None:
    conditions = row_of(folder, answer["decision_id"])["limits"].get("conditions", {})
    found: dict[str, int] | None = conditions.get("cached_tokens")
    return found


@pytest.mark.parametrize("cost_weight", [0.0, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("tokens", [0, 500, 6_000, 50_000])
def test_the_service_decides_as_the_library_does(
    talking: httpx.Client, runtime: Runtime, folder: Path, cost_weight: float, tokens: int
) -> None:
    session: dict[str, Any] = {"previous_candidate": "candidate-1", "cached_tokens": tokens}
    session["id"] = f"{tokens} at {cost_weight}"
    got = route(talking, messages=TURNS, session=session, cost_weight=cost_weight)
    conditions = Conditions(cached_tokens={"candidate-1": tokens})
    limits = Constraints(cost_weight=cost_weight, conditions=conditions)
    expected = runtime.decide(parse_query(TURNS), limits)
    assert got["candidate"] == expected.candidate
    assert [line["cost_usd"] for line in got["ranking"]] == pytest.approx(
        [line.cost_usd for line in expected.ranking]
    )
    again = session | {"id": f"{session['id']} again"}
    batch = talking.post(
        "/v1/route/batch",
        json={"requests": [{"messages": TURNS, "session": again, "cost_weight": cost_weight}]},
    ).json()
    assert batch["decisions"][0]["candidate"] == expected.candidate
    row = row_of(folder, got["decision_id"]) | {"override_digest": runtime.override_digest}
    assert replay(runtime, row, parse_query(TURNS)).together


def test_an_id_is_remembered_and_feedback_knows_better(talking: httpx.Client, folder: Path) -> None:
    first = route(talking, messages=TURNS[:2], session={"id": "a"})
    assert cached(folder, first) == {}
    second = route(talking, messages=TURNS, session_id="a")
    estimate = cached(folder, second)
    assert estimate is not None
    assert [*estimate] == [first["candidate"]]
    assert estimate[first["candidate"]] == pytest.approx(8_000, rel=0.01)
    assert row_of(folder, second["decision_id"])["session_id"] == "a"
    said = {"decision_id": second["decision_id"], "input_tokens": 7_123, "status": "success"}
    said["candidate_served"] = "candidate-2"
    assert talking.post("/v1/feedback", json=said).status_code == 202
    known = cached(folder, route(talking, messages=TURNS, session={"id": "a"}))
    assert known is not None
    assert known["candidate-2"] == 7_123
    assert cached(folder, route(talking, messages=TURNS, session={"id": "b"})) == {}


def test_without_an_id_a_conversation_is_known_by_how_it_begins(
    talking: httpx.Client, folder: Path
) -> None:
    system = {"role": "system", "content": LONG + "Answer in French."}
    first = route(talking, messages=[system, *TURNS[1:2]])
    assert cached(folder, first) is None  # a single question is priced as ever
    second = route(talking, messages=[system, *TURNS[1:]])
    assert [*(cached(folder, second) or {})] == [first["candidate"]]
    other = [system, {"role": "user", "content": "Mix red."}, *TURNS[2:]]
    assert cached(folder, route(talking, messages=other)) == {}
    assert cached(folder, route(talking, query="Mix blue.")) is None


@pytest.mark.parametrize(
    "body",
    [
        {"session": {"id": "a"}, "session_id": "a"},
        {"session": {"cached_tokens": -1}},
        {"session": {"name": "a"}},
    ],
)
def test_what_contradicts_itself_is_refused(talking: httpx.Client, body: dict[str, Any]) -> None:
    assert talking.post("/v1/route", json={"query": "a", **body}).status_code == 422


def test_a_catalogue_without_cache_prices_knows_no_sessions(
    client: httpx.Client, decisions: Path
) -> None:
    plain = route(client, messages=TURNS)
    session = {"id": "a", "previous_candidate": "candidate-0", "cached_tokens": 7_000}
    assert route(client, messages=TURNS, session=session)["ranking"] == plain["ranking"]
