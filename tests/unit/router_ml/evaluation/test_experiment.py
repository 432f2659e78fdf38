"""Intervals hold at every look, and the estimates find what was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.benchmarks.experiment import TRUTH, coverage, simulate
from router_ml.errors import DataError
from router_ml.evaluation.confidence_sequences import half_width
from router_ml.evaluation.experiment import MIN_UNITS, report


def test_what_was_put_in_comes_out() -> None:
    rows = simulate(np.random.default_rng(0), n_units=30_000)
    found = report(rows, cost_weight=10.0)
    for name in ("quality", "cost_usd", "utility", "latency_ms_p50", "latency_ms_p95"):
        lift = found.metrics[name].lift
        assert lift.low < TRUTH[name] < lift.high
        assert lift.high < 0 or lift.low > 0  # 30,000 sessions are enough to see it
    assert found.verdict == "better"


def test_few_units_tell_nothing() -> None:
    rows = simulate(np.random.default_rng(0), n_units=MIN_UNITS)
    assert report(rows).verdict == "too early"


def test_a_share_that_was_raised_does_no_harm() -> None:
    """Quality falls with time while the share rises: plain means would see a loss."""
    rng = np.random.default_rng(1)
    early = simulate(rng, n_units=10_000, share=0.1)
    late = simulate(rng, n_units=10_000, share=0.8)
    both = replace(
        early,
        unit=np.r_[early.unit, late.unit + 1e6],
        challenger=np.r_[early.challenger, late.challenger],
        share=np.r_[early.share, late.share],
        quality=np.r_[early.quality + 0.5, late.quality],
        cost_usd=np.r_[early.cost_usd, late.cost_usd],
        latency_ms=np.r_[early.latency_ms, late.latency_ms],
    )
    plain = np.nanmean(both.quality[both.challenger]) - np.nanmean(both.quality[~both.challenger])
    lift = report(both).metrics["quality"].lift
    assert plain < 0 < lift.low < TRUTH["quality"] < lift.high


def test_looking_often_is_paid_for_and_plain_intervals_are_not_enough() -> None:
    found = coverage(n_trials=60, n_units=1_200, looks=8, random_state=2)
    # 5 % may miss, with four standard errors of 60 trials
    for name in ("quality", "cost_usd", "utility", "latency_ms_p50", "latency_ms_p95"):
        assert found["anytime"][name] <= 0.05 + 4 * (0.05 * 0.95 / 60) ** 0.5
    assert max(found["fixed"].values()) > 0.1


def test_wrong_input_is_refused() -> None:
    rows = simulate(np.random.default_rng(0), n_units=100)
    with pytest.raises(DataError, match="share"):
        replace(rows, share=np.ones(len(rows.share)))
    with pytest.raises(DataError, match="both arms"):
        replace(rows, unit=np.zeros(len(rows.unit)))
    with pytest.raises(DataError):
        half_width(1.0, 0)
