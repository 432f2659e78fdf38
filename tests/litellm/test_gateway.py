"""``router-ml gateway``: ten candidates behind one address, decided by our service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router_ml.policies.exploration import BoltzmannPolicy
from tests.bundles import make_bundle
from tests.litellm.conftest import Providers, Proxy, decision_of, gateway, service

NAMES = [f"candidate-{k}" for k in range(10)]
TOOLS = [{"type": "function", "function": {"name": "mix", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def router(folder: Path) -> Iterator[str]:
    policy = BoltzmannPolicy(cost_weight=1.0, temperature=0.2, floor=0.05)
    make_bundle(folder / "bundle", n_candidates=10, policy=policy)
    with service(folder, bundle=folder / "bundle", decision_log=folder / "decisions") as url:
        yield url


@pytest.fixture(scope="module")
def proxy(python: Path, providers: Providers, folder: Path, router: str) -> Iterator[Proxy]:
    protocols = {3: "anthropic", 4: "bedrock"}
    candidates: dict[str, Any] = {
        name: providers.candidate(protocols.get(k, "openai"), f"mock-{k}")
        for k, name in enumerate(NAMES)
    }
    catalogue = {"default": "candidate-1", "candidates": candidates}
    with gateway(python, folder, catalogue, router, timeout_ms=5_000, max_depth=2) as proxy:
        yield proxy


def test_a_request_for_auto_is_decided_and_says_so(proxy: Proxy) -> None:
    answers = [proxy.chat("auto", f"Write code number {i}.") for i in range(30)]
    served = [answer.headers["x-router-candidate"] for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert len(set(served)) > 3
    for answer, name in zip(answers, served, strict=True):
        said = answer.json()["choices"][0]["message"]["content"]
        assert f"mock-{NAMES.index(name)}: Write code" in said
        assert 0 < float(answer.headers["x-router-propensity"]) < 1
        assert answer.headers["x-router-policy"] == "boltzmann"


def test_the_log_joins_itself_and_the_service_hears_the_outcome(proxy: Proxy, folder: Path) -> None:
    answer = proxy.chat("auto", "Prove it.")
    decision_id = answer.headers["x-router-decision-id"]
    [row] = proxy.rows(lambda row: decision_of(row).get("decision_id") == decision_id)
    decision = decision_of(row)
    assert row["model_group"] == decision["candidate"] == answer.headers["x-router-candidate"]
    assert row["messages"][0]["content"] == "Prove it."
    assert decision["propensity"] == pytest.approx(float(answer.headers["x-router-propensity"]))
    assert len(decision["candidates"]) == 10

    def told() -> list[dict[str, Any]]:
        rows = [
            json.loads(line)
            for path in (folder / "decisions").glob("*.jsonl*")
            for line in path.read_text().splitlines()
        ]
        return [r for r in rows if r["kind"] == "feedback" and r["decision_id"] == decision_id]

    proxy.rows(lambda _: bool(told()))
    [feedback] = told()
    assert feedback["candidate_served"] == decision["candidate"]
    assert feedback["cost_usd"] == pytest.approx(row["response_cost"])
    assert feedback["input_tokens"] == row["prompt_tokens"]
    assert feedback["quality"] is None


def test_streaming_carries_the_decision_in_its_headers(proxy: Proxy) -> None:
    body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Mix it."}]}
    for _ in range(8):  # several providers
        answer = proxy.post("chat/completions", body)
        parts = [json.loads(x[6:]) for x in answer.text.splitlines() if x.startswith("data: {")]
        text = "".join(p["choices"][0]["delta"].get("content") or "" for p in parts if p["choices"])
        assert text.endswith("Mix it.")
        assert answer.headers["x-router-candidate"] in NAMES
        decision_id = answer.headers["x-router-decision-id"]
        [row] = proxy.rows(lambda row, d=decision_id: decision_of(row).get("decision_id") == d)  # type: ignore[misc]
        assert row["stream"] is True


def test_tools_are_passed_on_and_scored(proxy: Proxy, providers: Providers) -> None:
    answers = [proxy.chat("auto", "Mix blue and red.", tools=TOOLS) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    called = [
        answer.json()["choices"][0]["message"].get("tool_calls")
        for answer in answers
        if answer.headers["x-router-candidate"] not in ("candidate-3", "candidate-4")
    ]
    assert called
    assert all(calls[0]["function"]["name"] == "mix" for calls in called)


def test_responses_messages_and_models(proxy: Proxy) -> None:
    for body in ({"input": "Hello"}, {"input": [{"role": "user", "content": "Hello"}]}):
        answer = proxy.post("responses", {"model": "auto", **body})
        assert answer.status_code == 200, answer.text
        assert answer.json()["output"][0]["content"][0]["text"].endswith("Hello")
        assert answer.headers["x-router-candidate"] in NAMES
        decision_id = answer.headers["x-router-decision-id"]
        assert proxy.rows(lambda row, d=decision_id: decision_of(row).get("decision_id") == d)  # type: ignore[misc]
    streamed = proxy.post("responses", {"model": "auto", "input": "Hello", "stream": True})
    assert "response.completed" in streamed.text
    message = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    assert proxy.post("messages", message).json()["content"][0]["text"].endswith("Hi")
    listed = {model["id"] for model in proxy.client.get("/v1/models").json()["data"]}
    assert listed == {*NAMES, "auto", "auto-cascade"}


def test_a_candidate_by_its_name_is_not_decided(proxy: Proxy) -> None:
    answer = proxy.chat("candidate-7")
    assert answer.json()["choices"][0]["message"]["content"] == "mock-7: Hello there"
    assert "x-router-candidate" not in answer.headers


def test_a_decision_that_a_client_made_up_is_not_logged(proxy: Proxy) -> None:
    forged = {"spend_logs_metadata": {"router": {"decision_id": "forged"}, "team": "blue"}}
    answer = proxy.chat("auto", "Forge it.", metadata=forged)
    decision_id = answer.headers["x-router-decision-id"]
    assert proxy.rows(lambda row: decision_of(row).get("decision_id") == decision_id)
    assert decision_id != "forged"


def test_a_wrong_key_and_an_unknown_model_are_refused(proxy: Proxy) -> None:
    wrong = proxy.post(
        "chat/completions",
        {"model": "auto", "messages": []},
        headers={"authorization": "Bearer sk-wrong"},
    )
    assert wrong.status_code in (400, 401)  # 400 without LiteLLM's database
    assert proxy.chat("nobody").status_code == 400


def test_without_a_trained_cascade_the_router_chooses_once(proxy: Proxy) -> None:
    answer = proxy.chat("auto-cascade", "Translate it.")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-router-candidate"] in NAMES
    assert answer.headers["x-router-policy"] == "cascade"
