"""``POST /v1/cascade/next`` over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router_ml.cascade.client import CascadeClient
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.client.cascade_endpoint import CascadeEndpoint
from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from router_ml.features.query import Query, parse_query
from tests.bundles import make_bundle
from tests.cascades import cascade_extras
from tests.serving.conftest import serve
from tests.timing import ratio

QUESTION = "Tom has 12 apples and buys 30 more. How many has he now?"
RIGHT = "12 + 30 = 42 apples. #### 42"
WRONG = "12 + 30 = 47 apples. #### 47"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("cascade")
    make_bundle(folder / "bundle", extras=cascade_extras())
    with serve(folder / "service.log", bundle=folder / "bundle") as client:
        yield client


def step(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/cascade/next", json={"query": QUESTION, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_cascade_step_by_step(client: httpx.Client) -> None:
    first = step(client, request_id="r-1")
    assert (first["action"], first["candidate"]) == ("escalate", "candidate-0")
    assert first["request_id"] == "r-1"
    turns = [{"candidate": "candidate-0", "text": WRONG, "cost_usd": 0.001, "latency_ms": 300}]
    second = step(client, answers=turns)
    assert (second["action"], second["candidate"]) == ("escalate", "candidate-1")
    turns.append({"candidate": "candidate-1", "text": RIGHT})
    last = step(client, answers=turns)
    assert (last["action"], last["candidate"]) == ("accept", "candidate-1")
    assert last["quality"] > second["quality"]


def test_the_router_says_that_it_has_a_cascade(client: httpx.Client) -> None:
    assert client.get("/v1/router").json()["cascade"]["order"] == [0, 1, 2]


def test_a_failed_turn_and_a_depth(client: httpx.Client) -> None:
    failed = [{"candidate": "candidate-0", "text": None}]
    assert step(client, answers=failed)["candidate"] == "candidate-1"
    wrong = [{"candidate": "candidate-0", "text": WRONG}]
    assert step(client, answers=wrong, max_depth=1)["action"] == "accept"
    assert step(client, answers=wrong, constraints={"max_cost_usd": 1e-9})["action"] == "accept"


@pytest.mark.parametrize(
    "body",
    [
        {"answers": [{"candidate": "nobody", "text": "x"}]},
        {"answers": [{"candidate": "candidate-0", "text": "x"}] * 2},
        {"answers": [{"candidate": "candidate-0", "text": 3}]},
        {"answers": [{"text": "x"}]},
        {"answers": [{"candidate": "candidate-0", "cost_usd": -1}]},
        {"answers": {}},
        {"answers": [{"candidate": "candidate-0", "tool_calls": "add"}]},
        {"answers": [{"candidate": "candidate-0", "tool_calls": ["add"]}]},
        {"answers": [{"candidate": "candidate-0", "function_call": 3}]},
        {"max_depth": 0},
        {"other": 1},
        {"query": ""},
    ],
)
def test_what_makes_no_sense_is_a_problem_document(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    response = client.post("/v1/cascade/next", json={"query": QUESTION, **body})
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert QUESTION not in response.text


def test_nobody_is_left_to_ask(client: httpx.Client) -> None:
    failed = [{"candidate": f"candidate-{k}", "text": None} for k in range(3)]
    response = client.post("/v1/cascade/next", json={"query": QUESTION, "answers": failed})
    assert response.status_code == 409, response.text


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x": 12}'}}


@pytest.mark.parametrize(
    "turn",
    [
        {"tool_calls": [CALL], "finish_reason": "tool_calls"},
        {"text": None, "tool_calls": [CALL]},
        {"text": "I add them.", "tool_calls": [CALL]},
        {"text": None, "function_call": {"name": "add", "arguments": "{}"}},
        {"tool_calls": [{}, {"function": "add"}]},
    ],
)
def test_native_tool_calls_are_an_answer(client: httpx.Client, turn: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    answers = [{"candidate": "candidate-0", **turn}]
    got = step(client, answers=answers, tools=tools)
    assert list(got["estimates"]) == ["candidate-0"]


def test_a_turn_with_neither_text_nor_calls_failed(client: httpx.Client) -> None:
    answers: list[dict[str, object]]
    answers = [{"candidate": "candidate-0", "tool_calls": [], "function_call": None}]
    assert step(client, answers=answers)["estimates"] == {}


def test_odd_answers_are_judged_all_the_same(client: httpx.Client) -> None:
    for text in ("", "[" * 5000, "x" * 20_000, "٣ + ٤ = ٧", "[f(x=0x" + "f" * 6000 + ")]"):
        step(client, answers=[{"candidate": "candidate-0", "text": text}])


def test_a_step_is_in_the_latency_class_of_a_route(client: httpx.Client) -> None:
    """For a query of 100 and an answer of 200 tokens, the client included in both."""
    question = " ".join([QUESTION] * 7)
    answer = "\n".join(f"{k} + 30 = {k + 30} apples." for k in range(22))
    body = {"query": question, "answers": [{"candidate": "candidate-0", "text": answer}]}
    taken = ratio(
        lambda: client.post("/v1/cascade/next", json=body).raise_for_status(),
        lambda: client.post("/v1/route", json={"query": question}).raise_for_status(),
        repeats=100,
    )
    assert taken < 4


def test_the_client_runs_the_whole_loop_over_http(client: httpx.Client) -> None:
    """One candidate times out and is skipped; the next is wrong; the last is accepted."""
    texts = {"candidate-1": WRONG, "candidate-2": RIGHT}

    def ask(name: str, query: Query, left_s: float | None) -> Attempt:
        if name not in texts:
            raise TimeoutError("no answer in time")
        return Attempt(name, texts[name], cost_usd=0.01)

    endpoint = CascadeEndpoint(url=str(client.base_url), request={"query": QUESTION})
    result = CascadeClient(decides=endpoint, ask=ask).run(parse_query(QUESTION))
    assert (result.candidate, result.text) == ("candidate-2", RIGHT)
    assert [turn.text for turn in result.attempts] == [None, WRONG, RIGHT]
    assert result.errors == ("TimeoutError",)
    assert result.cost_usd == pytest.approx(0.02)
    dear = CascadeClient(decides=endpoint, ask=ask, max_cost_usd=0.01)
    assert dear.run(parse_query(QUESTION)).candidate == "candidate-1"


def test_the_client_tells_a_refusal_from_a_service_that_is_not_there(client: httpx.Client) -> None:
    query = parse_query(QUESTION)
    refused = CascadeEndpoint(url=str(client.base_url), request={"query": QUESTION, "other": 1})
    with pytest.raises(InvalidRequestError, match="answered 422"):
        refused.next(query, [])
    nowhere = CascadeEndpoint(url="http://127.0.0.1:9", request={"query": QUESTION})
    with pytest.raises(ScorerUnavailableError, match="does not answer"):
        nowhere.next(query, [])
