"""Quantiles and tail means of another policy: against known truth, and as the gate's guards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_ml.errors import ConfigError, OverlapError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.off_policy.distribution import WeightedOutcomes, quantile, tail_mean
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.tail_guards import (
    TailGuard,
    logged_outcomes,
    tail_guards,
    value_of,
)
from router_ml.evaluation.off_policy.tails import Tail, check_guards
from router_ml.types.arrays import FloatArray, IntArray

N, K = 5_000, 3


class World:
    """Latency and quality of every candidate on every prompt, and three policies."""

    def __init__(self, rng: np.random.Generator) -> None:
        hard = rng.normal(size=(N, 1))
        self.latency = np.exp(5.0 + 0.4 * np.arange(K) + 0.5 * hard + 0.4 * rng.normal(size=(N, K)))
        self.quality = 1.0 / (1.0 + np.exp(-(1.0 + 0.4 * np.arange(K) - hard)))
        preferred = (rng.normal(size=(N, K)) - hard * [1.0, 0.0, -1.0]).argmax(axis=1)
        self.old = np.eye(K)[preferred]
        self.new = np.eye(K)[np.where(rng.random(N) < 0.5, 0, preferred)]
        self.behavior = 0.7 * self.old + 0.1

    def log(self, n: int, rng: np.random.Generator) -> tuple[dict[str, LoggedFeedback], IntArray]:
        query = rng.integers(N, size=n)
        probs = self.behavior[query]
        action = (rng.random((n, 1)) > probs.cumsum(axis=1)[:, :-1]).sum(axis=1)
        labelled = rng.random(n) < 0.7
        p = probs[np.arange(n), action]
        quality = np.where(labelled, self.quality[query, action], np.nan)
        return {
            "latency_ms": LoggedFeedback(action, p, self.latency[query, action], group_id=query),
            "quality": LoggedFeedback(action, p, quality, np.full(n, 0.7), query),
        }, query

    def truth(self, name: str, probs: FloatArray) -> float:
        values = self.latency if name.startswith("latency") else self.quality
        rows = WeightedOutcomes.of_matrix(values, probs, np.arange(N))
        return value_of(Tail.parse(name), rows).value


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


def plain(values: FloatArray) -> WeightedOutcomes:
    return WeightedOutcomes(values[:, None], np.ones((len(values), 1)), np.arange(len(values)))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 1e6), min_size=2, max_size=60),
    st.integers(1, 99),
)
def test_equal_weights_give_the_sample_quantile(values: list[float], percent: int) -> None:
    """The inverted empirical distribution function, which numpy has as a method."""
    array = np.array(values)
    level = percent / 100.0
    expected = np.quantile(array, level, method="inverted_cdf")
    found = quantile(plain(array), level)
    # At a level that a rank meets exactly, numpy's rounding may take the next value.
    place = level * len(array)
    if abs(place - round(place)) > 1e-9:
        assert found.value == expected
    assert found.interval.low <= found.value <= found.interval.high


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=20, max_size=20), st.integers(1, 19))
def test_the_tail_mean_is_the_mean_of_the_worst(values: list[float], worst: int) -> None:
    array = np.array(values)
    found = tail_mean(plain(array), worst / 20)
    assert found.value == pytest.approx(np.sort(array)[:worst].mean(), abs=1e-9)
    high = tail_mean(plain(array), worst / 20, tail="high")
    assert high.value == pytest.approx(np.sort(array)[-worst:].mean(), abs=1e-9)


def test_row_values_have_the_estimate_as_mean(world: World) -> None:
    logs, query = world.log(2_000, np.random.default_rng(1))
    for name in ("latency_ms_p95", "quality_worst_10"):
        rows = logged_outcomes(logs, world.new[query])
        found = value_of(Tail.parse(name), rows[Tail.parse(name).measure])
        assert found.influence.mean() == pytest.approx(found.value)


NAMES = ("latency_ms_p50", "latency_ms_p95", "quality_worst_10")


def test_intervals_hold_the_truth(world: World) -> None:
    rng = np.random.default_rng(2)
    held: dict[str, list[bool]] = {name: [] for name in NAMES}
    truth = {name: world.truth(name, world.new) for name in NAMES}
    for _ in range(200):
        logs, query = world.log(1_500, rng)
        rows = logged_outcomes(logs, world.new[query])
        for name in NAMES:
            interval = value_of(Tail.parse(name), rows[Tail.parse(name).measure]).interval
            held[name].append(interval.low <= truth[name] <= interval.high)
    for name, one in held.items():
        # 95 % less three standard errors of 200 draws
        assert np.mean(one) > 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / 200), name


def test_a_guard_errs_no_more_often_than_the_gate_allows(world: World) -> None:
    """A challenger whose tail is exactly as bad as the limit passes in few logs."""
    rng = np.random.default_rng(3)
    limits = {}
    for name in NAMES:
        late, now = (world.truth(name, p) for p in (world.new, world.old))
        # The challenger is faster: the limit at which it is just not good enough is its own ratio.
        limits[name] = late / now if Tail.parse(name).as_ratio else max(now - late, 0.0)
    passed: dict[str, list[bool]] = {name: [] for name in NAMES}
    for _ in range(200):
        logs, query = world.log(1_500, rng)
        new, old = (logged_outcomes(logs, p[query]) for p in (world.new, world.old))
        guards = tail_guards(limits, new, old)
        report = Gate().judge(np.zeros(1_500), np.full(1_500, -1.0), group_id=query, guards=guards)
        for check in report.checks[2:]:
            passed[check.name].append(check.passed)
    for name, one in passed.items():
        assert np.mean(one) < 0.025 + 3.0 * np.sqrt(0.025 * 0.975 / 200), name


def test_a_faster_challenger_passes_and_a_slower_one_is_stopped(world: World) -> None:
    logs, query = world.log(4_000, np.random.default_rng(4))
    new, old = (logged_outcomes(logs, p[query]) for p in (world.new, world.old))
    slow = logged_outcomes(logs, np.tile([0.0, 0.0, 1.0], (4_000, 1)))
    zero, less = np.zeros(4_000), np.full(4_000, -1.0)

    def judged(one: dict[str, WeightedOutcomes], limit: float) -> str:
        guards = tail_guards({"latency_ms_p95": limit}, one, old)
        report = Gate().judge(zero + 0.001 * less, less, group_id=query, guards=guards)
        assert report.passed == report.checks[-1].passed
        return report.text

    assert "[ok] latency_ms_p95" in judged(new, 1.2)
    text = judged(slow, 1.0)
    assert "[no] latency_ms_p95" in text
    assert "latency_ms_p95 is not shown to be within its limit" in text


def test_a_tail_of_few_requests_does_not_pass(world: World) -> None:
    logs, query = world.log(60, np.random.default_rng(5))
    rows = logged_outcomes(logs, world.old[query])["latency_ms"]
    guard = TailGuard.of(Tail.parse("latency_ms_p99"), 5.0, rows, rows)
    check = Gate().judge(np.zeros(60), np.full(60, -1.0), guards=[guard]).checks[-1]
    assert not check.passed
    assert "effective requests in the tail, 20 needed" in check.reason


def test_names_and_limits_are_checked() -> None:
    check_guards({"latency_ms_p95": 1.2, "quality_worst_5": 0.0})
    for wrong in ({"latency_p95": 1.2}, {"quality_p0": 0.1}, {"cost_usd_p99": 0.0},
                  {"quality_worst_5": -0.1}):  # fmt: skip
        with pytest.raises(ConfigError):
            check_guards(wrong)
    with pytest.raises(ConfigError, match="nothing tells utility"):
        tail_guards({"utility_worst_5": 0.1}, {}, {})


def test_a_policy_that_the_log_never_follows_has_no_distribution() -> None:
    log = LoggedFeedback(np.zeros(3, dtype=np.int64), np.ones(3), np.ones(3))
    other = np.tile([0.0, 1.0], (3, 1))
    assert logged_outcomes({"quality": log}, other) == {}
    with pytest.raises(OverlapError, match="log some traffic"):
        WeightedOutcomes.of_log(log, other)
