from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.intervals import bootstrap, bootstrap_mean, group_sums, resample
from router_ml.types.arrays import FloatArray


def test_bootstrap_spread_is_the_standard_error() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    estimate = bootstrap_mean(values, n_resamples=4_000)
    # Half width of a normal 95 % interval; its own Monte-Carlo error is about 2 %.
    assert estimate.half_width == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert estimate.n == 400


def test_equal_rows_of_a_group_count_as_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=100)
    once = bootstrap_mean(values, group_id=np.arange(100))
    thrice = bootstrap_mean(np.repeat(values, 3), group_id=np.repeat(np.arange(100), 3))
    assert thrice.low == pytest.approx(once.low)
    assert thrice.high == pytest.approx(once.high)


def test_intervals_cover_95_times_in_100() -> None:
    rng = np.random.default_rng(2)
    truth, hits, trials = 0.0, 0, 400
    for i in range(trials):
        group = rng.integers(60, size=150)
        values = rng.normal(size=60)[group] + rng.normal(size=150)
        estimate = bootstrap_mean(values, group_id=group, n_resamples=300, random_state=i)
        hits += estimate.low <= truth <= estimate.high
    # Five standard errors of a binomial, and two points for the bootstrap's small-sample bias.
    assert abs(hits / trials - 0.95) < 5 * np.sqrt(0.95 * 0.05 / trials) + 0.02


def test_resample_keeps_the_expected_total_across_blocks() -> None:
    sums = np.column_stack([np.arange(50.0), np.ones(50)])
    draws = resample(sums, n_resamples=3_000, random_state=3)
    assert draws.shape == (3_000, 2)
    assert np.all(draws[:, 1] == 50)
    assert draws[:, 0].mean() == pytest.approx(sums[:, 0].sum(), rel=0.02)


def test_undefined_statistics_and_mismatched_groups_are_refused() -> None:
    def ratio(total: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            shares: FloatArray = total[..., :1] / total[..., 1:]
        return shares

    with pytest.raises(DataError, match="undefined"):
        bootstrap(np.zeros((5, 2)), ratio)
    with pytest.raises(SchemaError, match="group_id must have 5 rows, got 4"):
        group_sums(np.zeros((5, 1)), np.zeros(4, dtype=int))
    with pytest.raises(DataError, match="no rows"):
        bootstrap(np.zeros((0, 2)), ratio)
