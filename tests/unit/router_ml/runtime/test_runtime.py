"""Constraints, overrides and draws of the one scoring path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_ml.errors import ConfigError, InvalidRequestError
from router_ml.features.query import Query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle

QUERY = Query("How do I mix blue and yellow?", history_chars=29)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    make_bundle(path, n_candidates=4)
    return path


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Runtime:
    return Runtime.from_folder(folder, random_state=0)


def test_a_decision_adds_up(runtime: Runtime) -> None:
    decision = runtime.decide(QUERY)
    assert sum(decision.action_probs) == pytest.approx(1.0)
    position = runtime.candidates.index(decision.candidate)
    assert decision.propensity == decision.action_probs[position] > 0
    assert {row.candidate for row in decision.ranking} == set(runtime.candidates.names)


def test_an_allow_list_is_all_there_is(runtime: Runtime) -> None:
    names = runtime.candidates.names[1:3]
    decision = runtime.decide(QUERY, Constraints(candidates=names))
    assert {row.candidate for row in decision.ranking} == set(names)
    assert "ruled out" in decision.reason


def test_limits_hold_and_say_when_nobody_meets_them(runtime: Runtime) -> None:
    costs = sorted(row.cost_usd for row in runtime.decide(QUERY).ranking)
    decision = runtime.decide(QUERY, Constraints(max_cost_usd=costs[1] * 1.0001))
    assert len(decision.ranking) == 2
    with pytest.raises(InvalidRequestError, match="no candidate meets max_cost_usd"):
        runtime.decide(QUERY, Constraints(max_cost_usd=costs[0] / 2))
    with pytest.raises(InvalidRequestError, match="no candidate meets max_latency_ms"):
        runtime.decide(QUERY, Constraints(max_latency_ms=1e-9))


def test_a_floor_nobody_reaches_gives_the_best(runtime: Runtime) -> None:
    best = max(runtime.decide(QUERY).ranking, key=lambda row: row.quality)
    assert runtime.decide(QUERY, Constraints(min_quality=1.0)).candidate == best.candidate


def test_a_floor_all_reach_gives_the_cheapest(runtime: Runtime) -> None:
    cheapest = min(runtime.decide(QUERY).ranking, key=lambda row: row.cost_usd)
    assert runtime.decide(QUERY, Constraints(min_quality=0.0)).candidate == cheapest.candidate


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_quality": 1.5},
        {"cost_weight": -1.0},
        {"max_cost_usd": float("nan")},
        {"max_output_tokens": 0},
        {"candidates": ()},
    ],
)
def test_impossible_limits_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        Constraints(**wrong)  # type: ignore[arg-type]


def test_prices_and_policy_can_be_overridden_and_leave_a_digest(folder: Path) -> None:
    plain = Runtime.from_folder(folder)
    free = {
        name: {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0}
        for name in plain.candidates.names
    }
    changed = Runtime.from_folder(folder, prices=free, policy={"name": "random"})
    assert plain.override_digest == ""
    assert len(changed.override_digest) == 16
    assert {row.cost_usd for row in changed.decide(QUERY).ranking} == {0.0}
    with pytest.raises(ConfigError, match="without a price"):
        Runtime.from_folder(folder, prices={})


def test_draws_follow_the_propensities(folder: Path) -> None:
    runtime = Runtime.from_folder(folder, policy={"name": "random"}, random_state=7)
    n = 2_000
    drawn = [runtime.decide(QUERY).candidate for _ in range(n)]
    shares = np.array([drawn.count(name) / n for name in runtime.candidates.names])
    # Five standard errors of a share of one in four.
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / n)
