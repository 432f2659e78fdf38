"""A logged decision comes out again bit for bit, however it was scored, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from router_ml.errors import DataError
from router_ml.features.query import Query, parse_query
from router_ml.policies.base import Policy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.exploration import EpsilonGreedyPolicy
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints
from router_ml.runtime.explanation import best_at, explained
from router_ml.runtime.replay import replay
from router_ml.runtime.runtime import Runtime
from router_ml.types.decisions import Decision
from tests.bundles import make_bundle

QUERY = parse_query(
    [{"role": "user", "content": "Mix blue and yellow. What color is it? Prove it."}],
    [{"name": "mix", "description": "Mix paint"}, {"name": "weather"}],
)


def logged(runtime: Runtime, decision: Decision, constraints: Constraints) -> Mapping[str, Any]:
    row = asdict(decision) | {
        "limits": constraints.to_dict(),
        "bundle_id": runtime.manifest.bundle_id,
        "override_digest": runtime.override_digest,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(row))
    return loaded


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle(folder, n_candidates=4, dims=64)
    return Runtime.from_folder(folder)


@pytest.mark.parametrize(
    "policy",
    [CostAwarePolicy(cost_weight=3.0), EpsilonGreedyPolicy(epsilon=0.6)],
)
@pytest.mark.parametrize("together", [1, 2, 5, 8, 32])
def test_bit_for_bit(runtime: Runtime, policy: Policy, together: int) -> None:
    own = runtime.overridden(policy=policy.to_dict())
    limits = Constraints(candidates=("candidate-0", "candidate-2", "candidate-3"), cost_weight=None)
    others = [replace(QUERY, ask=f"how {i} " * (i + 1)) for i in range(together - 1)]
    asked = [*others[: together // 2], QUERY, *others[together // 2 :]]
    decisions = own.choose_each(own.predict(asked), [limits.of(q) for q in asked])
    decision = decisions[together // 2]
    assert isinstance(decision, Decision)
    again = replay(own, logged(own, decision, limits.of(QUERY)), QUERY)
    assert again.together >= 1
    assert again.decision == decision
    other = replay(own, logged(own, decision, limits.of(QUERY)), replace(QUERY, ask="why"))
    assert other.together == 0
    assert "not the same" in other.text


def test_another_bundle_or_override_is_refused(runtime: Runtime) -> None:
    row = logged(runtime, runtime.decide(QUERY), NO_CONSTRAINTS)
    other = runtime.overridden(policy=CostAwarePolicy(cost_weight=9.0).to_dict())
    with pytest.raises(DataError, match="override_digest"):
        replay(other, row, QUERY)


def test_an_override_shares_the_graph_and_leaves_the_former_alone(runtime: Runtime) -> None:
    before = runtime.decide(QUERY)
    prices = {
        name: {"input_usd_per_mtok": 1e3, "output_usd_per_mtok": 1e3}
        for name in runtime.candidates.names
    }
    dear = runtime.overridden(prices=prices, policy=CostAwarePolicy(cost_weight=1.0).to_dict())
    assert dear.override_digest != runtime.override_digest
    assert dear.decide(QUERY).ranking[0].cost_usd > before.ranking[0].cost_usd
    assert runtime.decide(QUERY) == before


def test_the_counterfactual_is_where_the_decision_flips(runtime: Runtime) -> None:
    own = runtime.overridden(policy=CostAwarePolicy(cost_weight=0.0).to_dict())
    why = explained(own, QUERY, NO_CONSTRAINTS.of(QUERY), own.decide(QUERY))
    flips = 0
    for line in why.candidates:
        if line.best_from is None:
            continue
        for weight in (line.best_from * 1.0001, (line.best_to or 1e9) * 0.9999):
            limits = Constraints(cost_weight=weight).of(QUERY)
            assert own.decide(QUERY, limits).candidate == line.candidate
            flips += 1
    assert flips >= 2
    assert why.candidates[0].probability in (0.0, 1.0)


def test_parts_add_what_the_prediction_loses_without_them(runtime: Runtime) -> None:
    decision = runtime.decide(QUERY)
    why = explained(runtime, QUERY, NO_CONSTRAINTS.of(QUERY), decision)
    assert why.compared[0] == decision.candidate
    (tool,) = [c for c in why.contributions if c.part == "tools[1]"]
    without = replace(QUERY, tools=QUERY.tools[:1])
    k = runtime.positions[decision.candidate]
    lost = runtime.predict([QUERY]).quality[0, k] - runtime.predict([without]).quality[0, k]
    assert tool.quality[decision.candidate] == pytest.approx(lost, abs=1e-6)
    empty = Query("a")
    assert explained(runtime, empty, NO_CONSTRAINTS, runtime.decide(empty)).contributions == ()


def test_equal_cost_leaves_the_better_one() -> None:
    import numpy as np

    spans = best_at(np.array([0.5, 0.6]), np.array([1.0, 1.0]), np.ones(2, dtype=bool))
    assert spans == [None, (0.0, float("inf"))]
