"""Three providers' protocols against local servers, through the gateway; and its cascade."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipelines.join.sources.failures import error_class
from pipelines.join.sources.fields import LITELLM
from pipelines.join.sources.records import Record
from pipelines.join.sources.requests import request_rows
from router_ml.bundle.files import read_bundle
from router_ml.policies.exploration import BoltzmannPolicy
from router_ml.types.failures import CLIENT_ERRORS
from tests.bundles import make_bundle
from tests.cascades import cascade_extras
from tests.litellm.conftest import Providers, Proxy, Service, decision_of, gateway, service

PROTOCOLS = ("openai", "anthropic", "bedrock")
FAULTS = {
    "rate-limit": (429, "RateLimitError"),
    "overloaded": (503, "ServiceUnavailableError"),
    "content-filter": (400, "ContentPolicyViolationError"),
    "too-long": (400, "ContextWindowExceededError"),
    "wrong-key": (401, "AuthenticationError"),
}
ODD = {
    ("anthropic", "overloaded"): (500, "InternalServerError"),
    ("bedrock", "content-filter"): (400, "BadRequestError"),
    ("bedrock", "wrong-key"): (403, "AuthenticationError"),
}
"""Where LiteLLM 1.108 maps a provider's own error to another class."""
MAX_COST_USD, MAX_SECONDS = 0.002, 6.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
QUESTION = "Tom has 12 apples and buys 30 more. How many has he now?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("providers-gateway")


class Collector(BaseHTTPRequestHandler):
    """Keeps the spans that are sent to it."""

    spans: ClassVar[list[Span]] = []

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def router(folder: Path, collector: str) -> Iterator[Service]:
    make_bundle(folder / "bundle", policy=BoltzmannPolicy(temperature=1.0), extras=cascade_extras())
    with service(folder, bundle=folder / "bundle", otlp_endpoint=collector) as router:
        yield router


@pytest.fixture(scope="module")
def proxy(python: Path, providers: Providers, folder: Path, router: Service) -> Iterator[Proxy]:
    candidates = {
        "candidate-0": providers.candidate("openai", "mock"),
        "candidate-1": providers.candidate("anthropic", "mock-overloaded"),
        "candidate-2": providers.candidate("bedrock", "mock"),
        "mock@low": providers.candidate(
            "openai", "o-mock", reasoning_effort="low", output_budget=50,
            input_usd_per_mtok=2.0, output_usd_per_mtok=8.0,
        ),
        "mock@high": providers.candidate("openai", "o-mock", reasoning_effort="high"),
    }  # fmt: skip
    for protocol in PROTOCOLS:
        candidates[protocol] = providers.candidate(protocol, "mock")
        for fault in FAULTS:
            candidates[f"{protocol}-{fault}"] = providers.candidate(protocol, f"mock-{fault}")
    catalogue = {"default": "candidate-0", "candidates": candidates}
    limits = {"max_cost_usd": MAX_COST_USD, "max_depth": 3, "max_seconds": MAX_SECONDS}
    with gateway(python, folder, catalogue, router, timeout_ms=3_000, **limits) as proxy:
        yield proxy


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_and_streams(proxy: Proxy, protocol: str) -> None:
    answer = proxy.chat(protocol).json()
    assert answer["choices"][0]["message"]["content"].endswith("mock: Hello there")
    assert answer["usage"]["total_tokens"] > 0
    streamed = proxy.chat(protocol, stream=True).text
    parts = [json.loads(x[6:]) for x in streamed.splitlines() if x.startswith("data: {")]
    text = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
    assert text.endswith("mock: Hello there")
    assert streamed.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_providers_failure_has_its_class(proxy: Proxy, protocol: str, fault: str) -> None:
    status, kind = ODD.get((protocol, fault), FAULTS[fault])
    name = f"{protocol}-{fault}"
    answer = proxy.chat(name, f"Fail with {name}.")
    assert answer.status_code == status, answer.text
    [row, *_] = proxy.rows(lambda row: row["model_group"] == name)
    assert row["error_information"]["error_class"] == kind
    blamed = error_class(row, LITELLM)
    ours = fault in ("too-long", "wrong-key") or kind == "BadRequestError"  # of the caller
    assert (blamed in CLIENT_ERRORS) == ours


def test_effort_and_output_are_part_of_a_candidate(proxy: Proxy, providers: Providers) -> None:
    costs, served = {}, {}
    for name in ("mock@low", "mock@high"):
        answer = proxy.chat(name, f"Think, {name}.")
        assert answer.status_code == 200, answer.text
        costs[name] = float(answer.headers["x-litellm-response-cost"])
        [row] = proxy.rows(lambda row, n=name: f"Think, {n}." in str(row["messages"]))  # type: ignore[misc]
        served[name] = row["model_group"]
    assert costs["mock@low"] == pytest.approx(2 * costs["mock@high"], rel=0.2)
    assert served == {"mock@low": "mock@low", "mock@high": "mock@high"}
    asked = {
        body["messages"][0]["content"]: body
        for entry in providers.asked()
        if (body := entry["body"]).get("model") == "o-mock"
    }
    assert asked["Think, mock@low."]["reasoning_effort"] == "low"
    assert asked["Think, mock@high."]["reasoning_effort"] == "high"
    low = asked["Think, mock@low."]
    assert low.get("max_tokens", low.get("max_completion_tokens")) == 50


def test_two_candidates_of_one_model_are_two_rows_of_the_price_list(
    proxy: Proxy, folder: Path
) -> None:
    prices = json.loads((folder / "gateway" / "prices.json").read_text())
    assert prices["mock@low"]["input_cost_per_token"] == pytest.approx(2e-6)
    assert prices["mock@high"]["input_cost_per_token"] == pytest.approx(1e-6)
    assert prices["mock@low"]["max_output_tokens"] == 50


def test_a_cascade_asks_judges_and_escalates_inside_one_request(proxy: Proxy, folder: Path) -> None:
    assert "answer.onnx" in read_bundle(folder / "bundle").files
    answer = proxy.chat("auto-cascade", QUESTION)
    assert answer.status_code == 200, answer.text
    # The mock repeats the question, which is no good answer; candidate-1 is overloaded.
    rows = proxy.rows(
        lambda row: QUESTION in str(row["messages"]) and decision_of(row).get("policy") == "cascade"
    )
    asked = {row["model_group"]: row["status"] for row in rows}
    assert asked["candidate-0"] == "success"
    assert len(asked) > 1
    assert not proxy.rows_now(lambda row: row["model_group"] == "auto-cascade")
    accepted = answer.headers["x-router-candidate"]
    assert asked[accepted] == "success"
    assert answer.headers["x-router-policy"] == "cascade"


def turns_of(proxy: Proxy, question: str, n: int) -> dict[str, str]:
    """How the ``n`` turns of a cascade ended, by candidate."""
    found: dict[str, str] = {}

    def has_all(row: dict[str, Any]) -> bool:
        if question in str(row["messages"]):
            found[row["model_group"]] = row["status"]
        return len(found) == n

    proxy.rows(has_all)
    return found


def test_a_cascade_streams_what_it_accepted_and_says_whose_it_is(proxy: Proxy) -> None:
    streamed = proxy.chat("auto-cascade", QUESTION, stream=True)
    parts = [json.loads(x[6:]) for x in streamed.text.splitlines() if x.startswith("data: {")]
    text = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
    assert text.endswith(QUESTION)
    assert streamed.headers["x-router-candidate"] in ("candidate-0", "candidate-2")
    assert streamed.headers["x-router-policy"] == "cascade"


def test_a_cascade_stops_where_its_money_is_spent(proxy: Proxy) -> None:
    question = f"{QUESTION} {'Count them one by one. ' * 200}"
    answer = proxy.chat("auto-cascade", question)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-router-candidate"] == "candidate-0"
    [row] = proxy.rows(lambda row: question in str(row["messages"]))
    assert row["response_cost"] > MAX_COST_USD


def test_a_cascade_ends_when_its_time_is_over(proxy: Proxy) -> None:
    """The second candidate hangs for twice the cascade's time; the first one's answer is taken."""
    begun = time.monotonic()
    answer = proxy.chat("auto-cascade", f"{QUESTION} Count slowly.")
    took_s = time.monotonic() - begun
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-router-candidate"] == "candidate-0"
    assert MAX_SECONDS <= took_s < 2 * MAX_SECONDS
    asked = turns_of(proxy, "Count slowly.", 2)
    assert asked == {"candidate-0": "success", "candidate-1": "failure"}


def test_decisions_and_steps_are_spans_in_the_callers_trace(proxy: Proxy) -> None:
    parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    for model in ("auto", "auto-cascade"):
        proxy.post("chat/completions", {"model": model, **body}, headers=parent)
    deadline = time.monotonic() + 30
    names: Counter[str] = Counter()
    while time.monotonic() < deadline and (names["route"] < 1 or names["cascade"] < 3):
        time.sleep(0.2)
        names = Counter(s.name for s in Collector.spans if s.trace_id.hex() == TRACE)
    assert names["route"] == 1
    assert names["cascade"] >= 3  # two are asked at least, and one is accepted
    steps = [
        {a.key: a.value.string_value for a in span.attributes}
        for span in Collector.spans
        if span.name == "cascade" and span.trace_id.hex() == TRACE
    ]
    assert [step["router.action"] for step in steps].count("accept") == 1
    assert QUESTION not in str(steps)


def test_rows_of_the_log_are_read_with_candidates_and_propensities(proxy: Proxy) -> None:
    answer = proxy.chat("auto", "Read this back.")
    decision_id = answer.headers["x-router-decision-id"]
    # A candidate that failed, and gave way to another, has a row of its own.
    [row] = proxy.rows(
        lambda row: (
            decision_of(row).get("decision_id") == decision_id and row["status"] == "success"
        )
    )
    [read] = request_rows([Record(1, None, row)], LITELLM, Path("log"))
    assert read["decision_id"] == decision_id
    assert read["propensity"] == pytest.approx(float(answer.headers["x-router-propensity"]))
    assert read["candidate_chosen"] == answer.headers["x-router-candidate"]
    assert read["eligible"] == decision_of(row)["candidates"]


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL], ids=["slow", "down"])
def test_without_the_router_the_default_answers(
    proxy: Proxy, router: Service, sent: signal.Signals
) -> None:
    """The last tests of this module: the service does not come back."""
    router.process.send_signal(sent)
    for model in ("auto", "auto-cascade"):
        for more in ({}, {"stream": True}):
            answer = proxy.chat(model, "Are you there?", **more)
            assert answer.status_code == 200, answer.text
            assert "mock" in answer.text
            assert answer.headers["x-router-candidate"] == "candidate-0"
            assert answer.headers["x-router-policy"] == "default"
