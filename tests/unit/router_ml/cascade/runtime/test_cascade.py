"""Steps of a cascade from a bundle, and the whole loop around a callable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_ml.bundle.files import read_bundle
from router_ml.cascade.client import CascadeClient
from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.cascade.runtime.files import CASCADE
from router_ml.errors import BundleError, ConfigError, InvalidRequestError
from router_ml.features.query import Query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.cascades import cascade_extras

QUERY = Query("Tom has 12 apples and buys 30 more. How many has he now?", history_chars=56)
RIGHT = "12 + 30 = 42 apples. #### 42"
WRONG = "12 + 30 = 47 apples. #### 47"
A, B, C = "candidate-0", "candidate-1", "candidate-2"


def load(folder: Path) -> CascadeRuntime:
    bundle = read_bundle(folder)
    return CascadeRuntime(bundle=bundle, runtime=Runtime(bundle=bundle))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> CascadeRuntime:
    folder = tmp_path_factory.mktemp("cascade") / "bundle"
    make_bundle(folder, extras=cascade_extras())
    return load(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> CascadeRuntime:
    folder = tmp_path_factory.mktemp("plain") / "bundle"
    make_bundle(folder)
    return load(folder)


def test_good_answers_are_accepted_and_bad_ones_escalated(cascade: CascadeRuntime) -> None:
    first = cascade.next(QUERY, [])
    assert (first.action, first.candidate) == ("escalate", A)
    good = cascade.next(QUERY, [Attempt(A, RIGHT)])
    assert (good.action, good.candidate) == ("accept", A)
    assert good.quality > 0.8
    bad = cascade.next(QUERY, [Attempt(A, WRONG)])
    assert (bad.action, bad.candidate) == ("escalate", B)
    assert bad.expected_gain > 0
    assert bad.expected_cost_usd > 0
    assert bad.quality < good.quality
    both = cascade.next(QUERY, [Attempt(A, WRONG), Attempt(B, RIGHT)])
    assert (both.action, both.candidate) == ("accept", B)
    assert set(both.estimates) == {A, B}


def test_the_best_answer_is_accepted_when_all_were_asked(cascade: CascadeRuntime) -> None:
    turns = [Attempt(A, WRONG), Attempt(B, WRONG), Attempt(C, "I think it is probably 44.")]
    step = cascade.next(QUERY, turns)
    assert step.action == "accept"
    assert step.quality == max(step.estimates.values())


def test_limits_hold_for_the_whole_cascade(cascade: CascadeRuntime) -> None:
    bad = [Attempt(A, WRONG, cost_usd=0.5, latency_ms=900.0)]
    assert cascade.next(QUERY, bad, Constraints(max_cost_usd=0.5)).action == "accept"
    assert cascade.next(QUERY, bad, Constraints(max_latency_ms=950.0)).action == "accept"
    assert cascade.next(QUERY, bad, max_depth=1).action == "accept"
    assert cascade.next(QUERY, bad, Constraints(candidates=(A, C))).candidate == C
    assert cascade.next(QUERY, bad, Constraints(min_quality=1e-6)).action == "accept"


def test_failures_are_skipped(cascade: CascadeRuntime) -> None:
    assert cascade.next(QUERY, [Attempt(A, None)]).candidate == B
    step = cascade.next(QUERY, [Attempt(A, None)], Constraints(candidates=(A, C)))
    assert (step.action, step.candidate) == ("escalate", C)
    with pytest.raises(InvalidRequestError, match="nobody is left"):
        cascade.next(QUERY, [Attempt(name, None) for name in (A, B, C)])


def test_requests_that_make_no_sense(cascade: CascadeRuntime) -> None:
    with pytest.raises(InvalidRequestError, match="known candidates once"):
        cascade.next(QUERY, [Attempt("nobody", "x")])
    with pytest.raises(InvalidRequestError, match="known candidates once"):
        cascade.next(QUERY, [Attempt(A, "x"), Attempt(A, "y")])
    with pytest.raises(InvalidRequestError, match="unknown candidates"):
        cascade.next(QUERY, [], Constraints(candidates=("nobody",)))


def test_without_an_answer_scorer_it_is_plain_routing(plain: CascadeRuntime) -> None:
    routed = plain.runtime.decide(QUERY).candidate
    first = plain.next(QUERY, [])
    assert (first.action, first.candidate) == ("escalate", routed)
    assert plain.next(QUERY, [Attempt(routed, WRONG)]).action == "accept"
    other = plain.next(QUERY, [Attempt(routed, None)])
    assert other.action == "escalate"
    assert other.candidate != routed


def test_cascade_routing_is_served_and_follows_the_cost_weight(tmp_path: Path) -> None:
    half = (0.5 * np.eye(3)).tolist()
    policy = CascadeRoutingPolicy(
        cost_weight=1e6,
        start_covariance=half,
        lead_coef=[[0.0, -1.0, 0.0, 0.0, 1.0]] * 3,
        lead_covariance=half,
    )
    make_bundle(tmp_path / "bundle", extras=cascade_extras(policy))
    cascade = load(tmp_path / "bundle")
    bad = [Attempt(A, WRONG)]
    assert cascade.next(QUERY, []).action == "escalate"
    assert cascade.next(QUERY, bad).action == "accept"
    assert cascade.next(QUERY, bad, Constraints(cost_weight=0.0)).action == "escalate"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"columns": ["other"]}, "export it again"),
        ({"policy": {"name": "none"}}, "must be one of"),
        ({"policy": {"name": "cascade", "depth": 3}}, "does not take"),
    ],
)
def test_a_cascade_of_another_release_is_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    extras = cascade_extras()
    extras[CASCADE] = json.dumps(json.loads(extras[CASCADE]) | change).encode()
    make_bundle(tmp_path / "bundle", extras=extras)
    with pytest.raises(BundleError, match=says):
        load(tmp_path / "bundle")


def test_a_scorer_for_other_candidates_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", n_candidates=4, extras=cascade_extras())
    with pytest.raises(BundleError, match="columns"):
        load(tmp_path / "bundle")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_client_escalates_until_an_answer_is_good(cascade: CascadeRuntime) -> None:
    texts = {A: WRONG, B: RIGHT}
    result = CascadeClient(
        decides=cascade, ask=lambda name, query, left: Attempt(name, texts[name], cost_usd=0.01)
    ).run(QUERY)
    assert (result.candidate, result.text) == (B, RIGHT)
    assert [a.candidate for a in result.attempts] == [A, B]
    assert result.cost_usd == pytest.approx(0.02)


def test_the_client_skips_what_fails(cascade: CascadeRuntime) -> None:
    def ask(name: str, query: Query, left: float | None) -> Attempt:
        if name == A:
            raise TimeoutError("slow")
        return Attempt(name, RIGHT)

    result = CascadeClient(decides=cascade, ask=ask).run(QUERY)
    assert result.candidate == B
    assert result.errors == ("TimeoutError",)


def test_the_client_keeps_its_limits(cascade: CascadeRuntime) -> None:
    clock = Clock()
    given: list[float | None] = []

    def ask(name: str, query: Query, left: float | None) -> Attempt:
        given.append(left)
        clock.now += 4.0
        return Attempt(name, WRONG, cost_usd=0.3)

    slow = CascadeClient(decides=cascade, ask=ask, max_seconds=5.0, clock=clock).run(QUERY)
    assert len(slow.attempts) == 2
    assert given[0] == 5.0
    one = CascadeClient(decides=cascade, ask=ask, max_depth=1, clock=clock).run(QUERY)
    assert len(one.attempts) == 1
    dear = CascadeClient(decides=cascade, ask=ask, max_cost_usd=0.3, clock=clock).run(QUERY)
    assert len(dear.attempts) == 1
    with pytest.raises(ConfigError, match="max_depth"):
        CascadeClient(decides=cascade, ask=ask, max_depth=0)


def test_a_request_brings_limits_of_its_own(cascade: CascadeRuntime) -> None:
    def ask(name: str, query: Query, left: float | None) -> Attempt:
        return Attempt(name, WRONG, cost_usd=0.3)

    client = CascadeClient(decides=cascade, ask=ask, max_cost_usd=0.9)
    few = client.run(QUERY, Constraints(candidates=(A, C)))
    assert [attempt.candidate for attempt in few.attempts] == [A, C]
    assert len(client.run(QUERY, Constraints(max_cost_usd=0.3)).attempts) == 1
    assert len(client.run(QUERY, Constraints(max_cost_usd=5.0)).attempts) == 3


def test_an_answer_that_calls_tools_comes_back_with_its_calls(cascade: CascadeRuntime) -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": '{"x": 12, "y": 30}'}}

    def ask(name: str, query: Query, left: float | None) -> Attempt:
        return Attempt(name, None, tool_calls=[call])

    result = CascadeClient(decides=cascade, ask=ask, max_depth=1).run(QUERY)
    assert (result.text, result.tool_calls, result.errors) == ("", (call,), ())


def test_the_client_says_what_failed_when_everything_did(cascade: CascadeRuntime) -> None:
    def ask(name: str, query: Query, left: float | None) -> Attempt:
        raise ConnectionError(name)

    with pytest.raises(InvalidRequestError, match="ConnectionError, ConnectionError"):
        CascadeClient(decides=cascade, ask=ask).run(QUERY)
