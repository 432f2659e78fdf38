"""Breakers and times of candidates, of a real service that is told how calls went."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.keys import digest
from tests.bundles import make_bundle
from tests.serving.conftest import serve

PAUSE_S = 1.0
PROVIDERS = {"candidate-0": "A", "candidate-1": "B", "candidate-2": "A", "candidate-3": "A"}
BODY = {"query": "Mix blue.", "cost_weight": 0.0}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("watched")
    make_bundle(folder / "bundle", n_candidates=4, provider=PROVIDERS)
    paths = {"bundle": folder / "bundle", "decision_log": folder / "log"}
    options = {"breaker_failures": 3, "breaker_pause_s": PAUSE_S, "log_flush_s": 0.01}
    with serve(folder / "service.log", **paths, **options) as client:
        yield client


def decide(client: httpx.Client, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/route", json=BODY | more)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def tell(client: httpx.Client, candidate: str, **said: Any) -> dict[str, Any]:
    response = client.post("/v1/health-events", json={"candidate": candidate, **said})
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


def feedback(client: httpx.Client, decision: dict[str, Any], **said: Any) -> None:
    body = {"decision_id": decision["decision_id"], **said}
    assert client.post("/v1/feedback", json=body).status_code == 202


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def best(watched: httpx.Client) -> Iterator[str]:
    """The candidate that is chosen while all are well; all are well again afterwards."""
    answer = decide(watched)
    assert answer["removed"] == []
    yield answer["candidate"]
    for name in PROVIDERS:
        until(lambda name=name: is_well(watched, name))  # type: ignore[misc]


def is_well(client: httpx.Client, name: str) -> bool:
    """Whether its breaker is closed; where a probe may go there, it succeeds."""
    decide(client, candidates=[name])
    return bool(tell(client, name, status="success")["breaker"] == "closed")


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    (value,) = [line.rpartition(" ")[2] for line in lines if line.startswith(name + " ")]
    return float(value)


def test_a_breaker_opens_probes_and_closes(watched: httpx.Client, best: str) -> None:
    states = [tell(watched, best, status="failure")["breaker"] for _ in range(3)]
    assert states == ["closed", "closed", "open"]
    answer = decide(watched)
    assert answer["candidate"] != best
    assert {"candidate": best, "reason": "fails at present"} in answer["removed"]
    assert best not in answer["fallbacks"]
    ready = watched.get("/readyz").json()
    assert (ready["status"], ready["reasons"]) == (
        "degraded",
        [f"{best} fails at present and is avoided"],
    )
    assert metric(watched, f'router_breaker_state{{candidate="{best}"}}') == 1.0
    assert metric(watched, f'router_breaker_opened_total{{candidate="{best}"}}') >= 1.0
    # After the pause exactly one of many that come at once tries it.
    time.sleep(PAUSE_S)
    with ThreadPoolExecutor(16) as pool:
        answers = [*pool.map(lambda _: decide(watched), range(32))]
    (probe,) = [answer for answer in answers if answer["candidate"] == best]
    assert metric(watched, f'router_breaker_state{{candidate="{best}"}}') == 0.5
    feedback(watched, probe, status="failure", error_class="APIConnectionError")
    until(lambda: metric(watched, f'router_breaker_state{{candidate="{best}"}}') == 1.0)
    assert all(decide(watched)["candidate"] != best for _ in range(3))

    def probes() -> bool:
        answers.append(decide(watched))
        return bool(answers[-1]["candidate"] == best)

    until(probes)
    feedback(watched, answers[-1], status="success", latency_ms=300.0)
    until(lambda: decide(watched)["candidate"] == best)
    assert watched.get("/readyz").json()["status"] == "ready"


@pytest.mark.parametrize("said", ["400", "litellm.BadRequestError", "ContextWindowExceededError"])
def test_a_callers_fault_is_nobodys_failure(watched: httpx.Client, best: str, said: str) -> None:
    for _ in range(10):
        answer = tell(watched, best, status="failure", error_class=said)
        assert (answer["outcome"], answer["breaker"]) == ("client_error", "closed")
    assert decide(watched)["candidate"] == best


def test_a_success_between_failures_counts(watched: httpx.Client, best: str) -> None:
    for _ in range(5):
        tell(watched, best, error_class="RateLimitError")
        tell(watched, best, error_class="503")
        assert tell(watched, best, ttft_ms=80.0)["breaker"] == "closed"


def test_feedback_is_held_against_who_served(watched: httpx.Client, best: str) -> None:
    for _ in range(3):
        decision = decide(watched)
        second = decision["fallbacks"][0]
        feedback(watched, decision, candidate_served=second, status="failure")
    assert second in {removal["candidate"] for removal in decide(watched)["removed"]}
    assert decide(watched)["candidate"] == best
    for n in range(5):  # of decisions that nobody made
        body = {"decision_id": f"made up {n}", "candidate_served": best, "status": "failure"}
        assert watched.post("/v1/feedback", json=body).status_code == 202
    assert decide(watched)["candidate"] == best


def test_where_everybody_fails_somebody_is_asked_all_the_same(
    watched: httpx.Client, best: str
) -> None:
    for name in PROVIDERS:
        for _ in range(3):
            tell(watched, name, status="failure")
    answer = decide(watched)
    assert answer["candidate"] == best
    assert decide(watched, candidates=["candidate-0"])["candidate"] == "candidate-0"


def test_time_to_first_token(watched: httpx.Client, best: str) -> None:
    for n in range(100):
        tell(watched, best, status="success", ttft_ms=100.0 + 10.0 * n, latency_ms=2_000.0)
    time.sleep(0.6)
    assert decide(watched, max_ttft_ms=2_000.0)["candidate"] == best
    slow = decide(watched, max_ttft_ms=500.0)
    assert slow["candidate"] != best
    assert {"candidate": best, "reason": "max_ttft_ms=500"} in slow["removed"]
    labels = f'{{candidate="{best}",quantile="0.95",what="ttft"}}'
    assert metric(watched, f"router_candidate_milliseconds{labels}") == pytest.approx(1_040, abs=60)


def test_the_chain_goes_to_another_provider_first(watched: httpx.Client) -> None:
    answer = decide(watched)
    order = [line["candidate"] for line in answer["ranking"]]
    chain = answer["fallbacks"]
    assert sorted([answer["candidate"], *chain]) == sorted(order)
    assert PROVIDERS[chain[0]] != PROVIDERS[answer["candidate"]]
    rest = [name for name in order if name in chain[1:]]
    assert chain[1:] == rest


@pytest.mark.parametrize(
    "body", [{}, {"candidate": "nobody"}, {"candidate": "candidate-0", "latency_ms": -1}]
)
def test_wrong_events_are_refused(watched: httpx.Client, body: dict[str, Any]) -> None:
    assert watched.post("/v1/health-events", json=body).status_code == 422


def test_a_planted_failure_needs_the_scope(tmp_path: Path, bundle: Path) -> None:
    entry = {"name": "web", "sha256": digest("t"), "scopes": ["route", "feedback"]}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [entry]}))
    with serve(tmp_path / "log", bundle=bundle, keys_file=tmp_path / "keys.json") as client:
        headers = {"authorization": "Bearer t"}
        event = {"candidate": "candidate-0", "status": "failure"}
        refused = client.post("/v1/health-events", json=event, headers=headers)
        assert refused.status_code == 403
