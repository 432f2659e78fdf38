"""The same requests by every way to a decision: one candidate, whatever policy and limits.

Ways: the library, ``/v1/route``, ``/v1/route/batch``, ``/v1/cascade/next`` before the first answer,
and the MLflow model. What randomises gives the same ``action_probs``, and under one
``random_state`` the same draws.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pandas as pd
import pytest

from router_ml.bundle.files import read_bundle
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query, parse_query
from router_ml.policies.registry import POLICIES
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from serving.http.call import Call
from serving.loading.loader import Loader, Router
from serving.schemas import RouterName
from serving.service import Service
from serving.settings import Settings
from serving.telemetry import Telemetry
from tests.bundles import make_bundle
from tests.cascades import cascade_extras

SEED: Final = 5
IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ASKS: Final[list[dict[str, Any]]] = [
    {"query": "Mix yellow and blue paint."},
    {"query": "Write python code that finds the integral of a function, and prove it."},
    {"query": "translate the poem hello hello hello"},
    {"query": "weather in French?", "tools": [{"name": "weather", "parameters": {}}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Price?"}, IMAGE]}]},
]
SPECS: Final[dict[str, list[dict[str, Any]]]] = {
    "boltzmann": [{"temperature": 0.1}],
    "budget": [
        {"budget_usd": 1.0, "cost_weight_low": 0.0, "cost_weight_high": 900.0, "mix": 0.4},
        {
            "budget_usd": 1.0,
            "cost_weight_low": 1.0,
            "cost_weight_high": 1.0,
            "mix": 1.0,
            "offsets": {"candidate-0": 0.9, "candidate-3": -0.9},
        },
    ],
    "constant": [{"candidate": "candidate-1"}, {"candidate": "candidate-3"}],
    "cost_aware": [{"cost_weight": 0.0}, {"cost_weight": 500.0, "latency_weight": 1e-3}],
    "epsilon_greedy": [{"epsilon": 0.5}],
    "oracle": [{}],
    "quality_floor": [{"min_quality": 0.6}, {"min_quality": 0.99}],
    "random": [{}],
    "thompson": [{"std": {"candidate-0": 0.3}}],
    "threshold": [{"weak": "candidate-0", "strong": "candidate-2", "threshold": 0.1}],
}
"""Arguments of every registered policy."""
TRIED: Final = [{"name": name, **arguments} for name, each in SPECS.items() for arguments in each]
LIMITS: Final[list[dict[str, Any]]] = [
    {},
    {"candidates": ["candidate-2", "candidate-0"]},
    {"max_cost_usd": 0.0005},
    {"max_cost_usd": 1e-9},
    {"max_latency_ms": 350.0},
    {"min_quality": 0.7},
    {"min_quality": 1.0, "candidates": ["candidate-1", "candidate-2"]},
    {"cost_weight": 0.0},
    {"cost_weight": 3000.0},
    {"max_output_tokens": 1, "cost_weight": 900.0},
    {"max_output_tokens": 1, "max_cost_usd": 0.0004},
    {"max_output_tokens": 950},
    {"candidates": ["nobody"]},
    {"requires": ["region:eu"]},
    {"requires": ["region:us", "vision"], "max_cost_usd": 0.0005},
    {"requires": ["region:ch"]},
]
"""Every kind of limit, some that leave nobody; with 950 tokens the windows bind."""
WINDOWS: Final = {"candidate-1": 1000, "candidate-3": 1200}
ABLE: Final = {
    "candidate-0": ("region:eu",),
    "candidate-1": ("tools", "region:us"),
    "candidate-2": ("tools", "vision", "region:eu"),
    "candidate-3": ("vision", "region:us"),
}

REQUESTS: Final = [{**ask, **limits} for limits in LIMITS for ask in ASKS]
Result = tuple[str, float] | str
"""Candidate and its propensity, or what the refusal says."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "bundle"
    make_bundle(folder, n_candidates=4, context_window=WINDOWS, capabilities=ABLE)
    return folder


def a_runtime(bundle: Path, policy: Mapping[str, Any]) -> Runtime:
    """One whose draws begin anew."""
    return Runtime.from_folder(bundle, policy=policy, random_state=SEED)


def a_query(request: Mapping[str, Any]) -> Query:
    asked = request["messages"] if "messages" in request else request["query"]
    return parse_query(asked, request.get("tools"))


def limits_of(request: Mapping[str, Any]) -> Constraints:
    return Constraints.from_dict(limits_in(request))


def limits_in(request: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in request.items() if k not in ("query", "messages", "tools")}


def result_of(decide: Callable[[Mapping[str, Any]], Any], request: Mapping[str, Any]) -> Result:
    try:
        decided = decide(request)
    except InvalidRequestError as error:
        return str(error)
    return decided.candidate, decided.propensity


def a_service(bundle: Path, policy: Mapping[str, Any]) -> Service:
    """The endpoints without sockets."""
    settings = Settings(bundle=str(bundle))
    loader = Loader(settings=settings)
    runtime = a_runtime(bundle, policy)
    loader.current = Router(
        runtime=runtime,
        cascade=CascadeRuntime(bundle=read_bundle(bundle), runtime=runtime),
        name=RouterName("router", "1"),
        source=str(bundle),
        loaded=datetime.now(UTC),
    )
    return Service(settings=settings, loader=loader, telemetry=Telemetry())


def over_http(endpoint: Callable[[Call], Any], body: Any) -> Any:
    answer = asyncio.run(endpoint(Call(msgspec.json.encode(body))))
    return SimpleNamespace(**msgspec.json.decode(answer))


@pytest.fixture(params=TRIED, ids=[json.dumps(policy) for policy in TRIED])
def policy(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    chosen: Mapping[str, Any] = request.param
    return chosen


@pytest.fixture
def expected(bundle: Path, policy: Mapping[str, Any]) -> list[Result]:
    return by_library(bundle, policy, REQUESTS)


def by_library(
    bundle: Path, policy: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]
) -> list[Result]:
    runtime = a_runtime(bundle, policy)
    return [result_of(lambda r: runtime.decide(a_query(r), limits_of(r)), r) for r in requests]


def test_every_policy_is_tried() -> None:
    assert SPECS.keys() == POLICIES.keys()


def test_some_requests_are_refused_and_limits_bind(bundle: Path) -> None:
    """Otherwise equal results would show little."""
    results = by_library(bundle, {"name": "oracle"}, REQUESTS)
    refused = [result for result in results if isinstance(result, str)]
    assert 0 < len(refused) < len(results) / 2
    assert len({result[0] for result in results if not isinstance(result, str)}) == 4


def test_the_route_endpoint(bundle: Path, policy: Mapping[str, Any], expected: list[Any]) -> None:
    service = a_service(bundle, policy)
    got = [result_of(lambda r: over_http(service.route, r), r) for r in REQUESTS]
    assert got == expected


def test_the_batch_endpoint(bundle: Path, policy: Mapping[str, Any], expected: list[Any]) -> None:
    able = [i for i, result in enumerate(expected) if not isinstance(result, str)]
    service = a_service(bundle, policy)
    answer = over_http(service.batches.route, {"requests": [REQUESTS[i] for i in able]})
    got = [(row["candidate"], pytest.approx(row["propensity"])) for row in answer.decisions]
    assert got == [expected[i] for i in able]


def test_many_at_once(bundle: Path, policy: Mapping[str, Any], expected: list[Any]) -> None:
    runtime = a_runtime(bundle, policy)
    predictions = runtime.predict([a_query(r) for r in REQUESTS])
    got = runtime.choose_each(predictions, [limits_of(r).of(a_query(r)) for r in REQUESTS])
    for decided, wanted in zip(got, expected, strict=True):
        if isinstance(decided, InvalidRequestError):
            assert isinstance(wanted, str)
        else:
            assert (decided.candidate, pytest.approx(decided.propensity)) == wanted


def test_a_cascade_before_its_first_answer(
    bundle: Path, policy: Mapping[str, Any], expected: list[Any]
) -> None:
    service = a_service(bundle, policy)
    got = [result_of(lambda r: over_http(service.cascade_next, r), r) for r in REQUESTS]
    assert got == expected


def test_a_cascade_step_carries_the_action_probabilities(
    bundle: Path, policy: Mapping[str, Any]
) -> None:
    runtime = a_runtime(bundle, policy)
    cascade = CascadeRuntime(bundle=read_bundle(bundle), runtime=runtime)
    for ask in ASKS:
        step = cascade.next(a_query(ask), [])
        assert step.decision is not None
        assert step.decision.action_probs == runtime.decide(a_query(ask)).action_probs


@pytest.fixture(scope="module")
def mlflow_model() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own type hints, when it is imported
        from pipelines.registry.pyfunc_model import RouterModel
    return RouterModel()


def test_the_mlflow_model(
    bundle: Path,
    policy: Mapping[str, Any],
    mlflow_model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = mlflow_model
    runtime = a_runtime(bundle, policy)
    requests = [request for request in REQUESTS if "query" in request]
    expected = by_library(bundle, policy, requests)
    monkeypatch.setattr(Runtime, "from_folder", lambda folder: runtime)
    model.load_context(SimpleNamespace(artifacts={"bundle": str(bundle)}))

    def predict(request: Mapping[str, Any]) -> Any:
        row = {
            "query": request["query"],
            "tools": json.dumps(request["tools"]) if "tools" in request else None,
            "constraints": json.dumps(limits_in(request)),
        }
        return model.predict(None, pd.DataFrame([row])).iloc[0]

    assert [result_of(predict, request) for request in requests] == expected


def test_a_cascade_asks_first_and_leaves_the_rest_to_the_router(tmp_path: Path) -> None:
    """With a cascade: its order before all; the router where the order may not be asked."""
    order = CascadePolicy(order=(0, 2), thresholds=(0.8,), gains=(0.1,))
    make_bundle(tmp_path / "bundle", extras=cascade_extras(order))
    runtime = Runtime.from_folder(
        tmp_path / "bundle", policy={"name": "constant", "candidate": "candidate-1"}
    )
    cascade = CascadeRuntime(bundle=read_bundle(tmp_path / "bundle"), runtime=runtime)
    query = a_query(ASKS[0])

    def first(**limits: Any) -> tuple[str, bool]:
        step = cascade.next(query, [], Constraints(**limits))
        return step.candidate, step.decision is None

    assert first() == ("candidate-0", True)
    assert first(candidates=("candidate-1", "candidate-2")) == ("candidate-2", True)
    assert first(candidates=("candidate-1",)) == ("candidate-1", False)
    best = max(runtime.decide(query).ranking, key=lambda line: line.quality)
    assert first(min_quality=1.0, candidates=(best.candidate,))[0] == best.candidate
    routed = runtime.decide(query, Constraints(cost_weight=3000.0)).candidate
    assert first(cost_weight=3000.0) == (routed, False)
