"""What is known around a request: caches price a switch, health and budgets narrow the choice."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from router_ml.errors import InvalidRequestError, OverBudgetError
from router_ml.features.query import parse_query
from router_ml.policies.registry import POLICIES, dearer, from_dict
from router_ml.runtime.conditions import Conditions
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable
from tests.bundles import make_bundle
from tests.serving.test_one_decision import TRIED

QUERY = parse_query("Mix blue.")
NAMES = ("candidate-0", "candidate-1", "candidate-2")
PRICES: dict[str, dict[str, float]] = {
    name: {
        "input_usd_per_mtok": 1.0 + k,
        "output_usd_per_mtok": 4.0,
        "cached_input_usd_per_mtok": 0.1 * (1.0 + k),
        "cache_write_usd_per_mtok": 1.25 * (1.0 + k),
    }
    for k, name in enumerate(NAMES)
}
OF_THREE = [spec for spec in TRIED if spec.get("candidate") != "candidate-3"]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("conditions") / "bundle"
    make_bundle(folder)
    return Runtime.from_folder(folder, prices=PRICES)


def decide(runtime: Runtime, limits: dict[str, Any] | None = None, **conditions: Any) -> Any:
    constraints = Constraints(**(limits or {}), conditions=Conditions(**conditions))
    return runtime.decide(QUERY, constraints)


def cost(runtime: Runtime, **conditions: Any) -> dict[str, float]:
    ranking = decide(runtime, **conditions).ranking
    return {line.candidate: line.cost_usd for line in ranking}


def test_costs_are_those_of_a_provider_with_a_cache(runtime: Runtime) -> None:
    """By hand: 10,000 tokens of which 8,000 are cached at candidate-1, and its own output."""
    table = CandidateTable(
        names=("a", "b"),
        input_usd_per_mtok=np.array([3.0, 2.5]),
        output_usd_per_mtok=np.array([15.0, 10.0]),
        cached_input_usd_per_mtok=np.array([0.3, 1.25]),
        cache_write_usd_per_mtok=np.array([3.75, np.nan]),
    )
    n, out = np.array([[10_000.0, 10_000.0]]), np.array([[200.0, 200.0]])
    got = table.cost_usd(n, out, cached_tokens=np.array([8_000.0, 0.0]))
    assert got[0] == pytest.approx([8e-3 * 0.3 + 2e-3 * 3.75 + 2e-4 * 15, 10e-3 * 2.5 + 2e-3])
    # What is cached of a short prompt was never cached.
    assert (
        table.cost_usd(n / 10, out, cached_tokens=n[0] / 20) == table.cost_usd(n / 10, out)
    ).all()
    assert cost(runtime) != cost(runtime, cached_tokens={"candidate-1": 8_000})


def test_a_cache_makes_staying_cheap_but_is_no_pin(runtime: Runtime) -> None:
    weight = {"cost_weight": 30.0}
    assert decide(runtime, weight, cached_tokens={}).candidate == "candidate-2"
    stay = {"candidate-0": 40_000}
    assert decide(runtime, weight, cached_tokens=stay).candidate == "candidate-0"
    assert decide(runtime, {"cost_weight": 0.5}, cached_tokens=stay).candidate == "candidate-2"


def test_nobody_that_fails_is_chosen_unless_nobody_else_is_left(runtime: Runtime) -> None:
    first = decide(runtime).candidate
    decision = decide(runtime, avoid=(first,))
    assert decision.candidate != first
    assert [(r.candidate, r.reason) for r in decision.removed] == [(first, "fails at present")]
    assert decide(runtime, avoid=NAMES).candidate == first
    assert decide(runtime, {"candidates": (first,)}, avoid=(first,)).candidate == first


def test_time_to_first_token_has_a_limit_of_its_own(runtime: Runtime) -> None:
    ttft = {"candidate-1": 900.0, "candidate-2": 100.0}
    decision = decide(runtime, {"max_ttft_ms": 500.0}, ttft_ms=ttft)
    assert [r.reason for r in decision.removed] == ["max_ttft_ms=500"]
    assert decide(runtime, {"max_ttft_ms": 500.0}).unchecked == ("ttft",)
    with pytest.raises(InvalidRequestError, match="lowest prediction"):
        decide(runtime, {"max_ttft_ms": 5.0}, ttft_ms=dict.fromkeys(NAMES, 10.0))


def test_budgets(runtime: Runtime) -> None:
    prices = cost(runtime)
    cheapest = min(prices, key=prices.__getitem__)
    assert decide(runtime, {"cost_weight": 0.0}).candidate != cheapest
    assert decide(runtime, {"cost_weight": 0.0}, extra_cost_weight=1e9).candidate == cheapest
    spent = decide(runtime, spent_budget="day")
    assert spent.candidate == cheapest
    assert "budget day is spent" in spent.reason
    left = decide(runtime, left_usd=sorted(prices.values())[1])
    assert {r.reason for r in left.removed} == {"costs more than its budget has left"}
    with pytest.raises(OverBudgetError):
        decide(runtime, left_usd=0.0)


@pytest.mark.parametrize("spec", OF_THREE, ids=[json.dumps(spec) for spec in OF_THREE])
def test_more_weight_on_cost_never_makes_a_decision_dearer(
    runtime: Runtime, spec: dict[str, Any]
) -> None:
    predictions = runtime.predict_one(QUERY)
    table = runtime.candidates
    price = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    mean = [
        float((dearer(from_dict(spec), weight).action_probs(predictions, table) * price).sum())
        for weight in (1.0, 100.0, 1e4, 1e9)
    ]
    assert mean == sorted(mean, reverse=True)
    assert from_dict(spec).name in POLICIES


def test_a_row_rebuilds_them() -> None:
    limits = Constraints(
        max_cost_usd=0.1,
        requires=("vision",),
        conditions=Conditions(cached_tokens={"a": 3}, avoid=("b",), left_usd=1.0),
    )
    assert Constraints.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits
    assert Constraints().to_dict() == {}
    bad: list[Any] = [{"nothing": 1}, [], {"left_usd": -1.0}, {"cached_tokens": {"a": -1}}]
    for wrong in bad:
        with pytest.raises(InvalidRequestError):
            Conditions.from_dict(wrong)
