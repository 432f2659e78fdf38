"""What a candidate can do comes before what it is worth, and every removal is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router_ml.bundle.files import read_bundle
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query, parse_query
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.decisions import Decision
from tests.bundles import make_bundle

NAMES = ("candidate-0", "candidate-1", "candidate-2")
ABLE = {
    "candidate-1": {"vision", "tools", "json_schema", "region:eu"},
    "candidate-2": {"vision", "audio", "reasoning", "region:us", "retention:none"},
}
TOOL = {"name": "f", "description": "x", "parameters": {}}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("able") / "bundle"
    make_bundle(folder, capabilities=ABLE, context_window={"candidate-0": 4_096})
    return Runtime.from_folder(folder)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Nothing is declared of anybody."""
    folder = tmp_path_factory.mktemp("silent") / "bundle"
    make_bundle(folder)
    return Runtime.from_folder(folder)


def part(kind: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "Mix."}, {"type": kind}]}]


def able(decision: Decision) -> set[str]:
    return {line.candidate for line in decision.ranking}


@pytest.mark.parametrize(
    ("query", "requires", "left"),
    [
        (parse_query("Mix."), (), set(NAMES)),
        (parse_query(part("image_url")), (), {"candidate-1", "candidate-2"}),
        (parse_query(part("input_audio")), (), {"candidate-2"}),
        (parse_query("Mix.", [TOOL]), (), {"candidate-1"}),
        (parse_query([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]), (),
         {"candidate-1"}),
        (parse_query([{"role": "user", "content": [{"type": "tool_result", "content": [
            {"type": "image"}]}]}]), (), {"candidate-1", "candidate-2"}),
        (parse_query("Mix."), ("json_object",), {"candidate-1"}),
        (parse_query("Mix."), ("reasoning",), {"candidate-2"}),
        (parse_query("Mix."), ("region:eu",), {"candidate-1"}),
        (parse_query("Mix."), ("retention:none",), {"candidate-2"}),
        (parse_query("Mix."), ("vision", "region:eu"), {"candidate-1"}),
    ],
)  # fmt: skip
def test_who_may_answer(
    runtime: Runtime, query: Query, requires: tuple[str, ...], left: set[str]
) -> None:
    limits = Constraints(requires=requires) if requires else NO_CONSTRAINTS
    decision = runtime.decide(query, limits)
    assert able(decision) == left
    assert {removal.candidate for removal in decision.removed} == set(NAMES) - left
    assert all(removal.reason.startswith("lacks ") for removal in decision.removed)
    (together,) = runtime.choose_each(runtime.predict([query]), [limits.of(query)])
    assert isinstance(together, Decision)
    assert (able(together), together.removed) == (left, decision.removed)


def test_a_batch_keeps_each_requests_needs_apart(runtime: Runtime) -> None:
    queries = [parse_query("Mix."), parse_query("Mix.", [TOOL]), parse_query(part("input_audio"))]
    limits = [NO_CONSTRAINTS.of(query) for query in queries]
    decisions = runtime.choose_each(runtime.predict(queries), limits)
    assert [able(d) for d in decisions if isinstance(d, Decision)] == [
        set(NAMES), {"candidate-1"}, {"candidate-2"},
    ]  # fmt: skip


def test_nobody_is_left(runtime: Runtime) -> None:
    for query, limits in (
        (parse_query(part("input_audio"), [TOOL]), NO_CONSTRAINTS),
        (parse_query("Mix."), Constraints(requires=("region:ch",))),
        (parse_query("Mix.", [TOOL]), Constraints(candidates=("candidate-0",))),
    ):
        with pytest.raises(InvalidRequestError, match=r"no candidate is left: .* lacks"):
            runtime.decide(query, limits)


def test_where_nothing_is_declared_nobody_is_removed_and_the_answer_says_so(
    silent: Runtime,
) -> None:
    decision = silent.decide(parse_query(part("image_url"), [TOOL]))
    assert able(decision) == set(NAMES)
    assert decision.removed == ()
    assert decision.unchecked == ("tools", "vision")
    assert "no candidate declares tools, vision" in decision.reason


def test_a_long_text_does_not_fit_a_small_window(runtime: Runtime) -> None:
    decision = runtime.decide(parse_query("word " * 190_000))
    assert [(r.candidate, r.reason) for r in decision.removed] == [
        ("candidate-0", "context window")
    ]


def test_a_longer_text_is_never_predicted_cheaper(silent: Runtime) -> None:
    costs = [
        min(line.cost_usd for line in silent.decide(parse_query("word " * n)).ranking)
        for n in (2_000, 5_000, 20_000, 100_000, 190_000)
    ]
    assert costs == sorted(costs)
    assert costs[-1] > 50 * costs[0]


def test_every_kind_of_removal_is_named(runtime: Runtime) -> None:
    everyone = runtime.decide(parse_query("Mix."), Constraints(cost_weight=0.0)).ranking
    cost = sorted(line.cost_usd for line in everyone)
    latency = sorted(line.latency_ms for line in everyone)
    for limits, reason in (
        (Constraints(candidates=("candidate-1",)), "not in the request's candidates"),
        (Constraints(permitted=("candidate-1", "unknown")), "not permitted to the caller"),
        (Constraints(max_cost_usd=cost[0] * 1.01), "max_cost_usd="),
        (Constraints(max_latency_ms=latency[0] * 1.01), "max_latency_ms="),
        (Constraints(min_quality=1.0), "below min_quality=1.0"),
    ):
        decision = runtime.decide(parse_query("Mix."), limits)
        assert len(decision.removed) == len(NAMES) - len(decision.ranking) > 0
        assert all(reason in removal.reason for removal in decision.removed)


def test_a_cascade_asks_nobody_who_cannot_answer(runtime: Runtime, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", capabilities=ABLE)
    cascade = CascadeRuntime(bundle=read_bundle(tmp_path / "bundle"), runtime=runtime)
    assert cascade.next(parse_query("Mix.", [TOOL]), []).candidate == "candidate-1"
    assert cascade.next(parse_query(part("input_audio")), []).candidate == "candidate-2"


def test_constraints_from_json() -> None:
    limits = Constraints.from_dict({"requires": ["vision"], "permitted": ["a"], "least_tokens": 3})
    assert limits == Constraints(requires=("vision",), permitted=("a",), least_tokens=3)
    for wrong in ({"requires": "vision"}, {"permitted": [1]}, {"least_tokens": "3"}):
        with pytest.raises(InvalidRequestError):
            Constraints.from_dict(wrong)
