from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from router_ml.evaluation.comparison import compare_policies
from router_ml.evaluation.curves import Curve, zero_router
from router_ml.evaluation.intervals import bootstrap_mean, group_sums
from router_ml.evaluation.metrics import expected
from router_ml.policies.constant import best_constant, constant_probs
from router_ml.types.arrays import FloatArray

unit = st.floats(0.0, 1.0, allow_nan=False, width=32)
points = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, (n, 2), elements=unit))
matrices = arrays(np.float64, (7, 3), elements=unit)


@given(points)
def test_more_budget_never_lowers_the_hull(xy: FloatArray) -> None:
    curve = Curve(xy[:, 0], xy[:, 1])
    low = float(curve.cost_usd[0])
    grid = np.linspace(low, low + 2.0, 17)
    quality = [curve.quality_at_cost(float(c)) for c in grid]
    assert np.all(np.diff(quality) >= -1e-12)


@given(points)
def test_the_hull_lies_on_or_above_every_point_and_is_concave(xy: FloatArray) -> None:
    curve = Curve(xy[:, 0], xy[:, 1])
    hull = curve.hull()
    for cost, quality in zip(curve.cost_usd, curve.quality, strict=True):
        assert np.interp(cost, hull.cost_usd, hull.quality) >= quality - 1e-9
    slopes = np.diff(hull.quality) / np.diff(hull.cost_usd)
    assert np.all(slopes > 0)
    assert np.all(slopes[1:] <= slopes[:-1] * (1 + 1e-6) + 1e-9)


@given(points)
def test_cost_and_quality_invert_each_other_on_the_hull(xy: FloatArray) -> None:
    hull = Curve(xy[:, 0], xy[:, 1]).hull()
    for cost, quality in zip(hull.cost_usd, hull.quality, strict=True):
        assert abs(hull.cost_at_quality(float(quality)) - cost) < 1e-9


@given(matrices, matrices, arrays(np.float64, (7, 3), elements=st.floats(0.01, 1.0)))
def test_no_policy_beats_the_oracle_nor_a_mix_the_zero_router(
    quality: FloatArray, cost: FloatArray, weights: FloatArray
) -> None:
    probs = weights / weights.sum(axis=1, keepdims=True)
    best = str(best_constant(quality, cost))
    constants = {str(k): constant_probs(7, 3, k) for k in range(3)}
    table = compare_policies(
        {**constants, "router": probs},
        baseline=best,
        quality=quality,
        cost_usd=cost,
        n_resamples=10,
    )
    assert table["router"]["regret"].value >= -1e-12
    assert table["router"]["oracle_gap_closed"].value <= 1 + 1e-9
    mix = np.tile(probs[0], (7, 1))
    hull = zero_router(cost, quality)
    at = float(expected(mix, cost).mean())
    assert hull.quality_at_cost(max(at, float(hull.cost_usd[0]))) >= (
        expected(mix, quality).mean() - 1e-9
    )


@settings(max_examples=25)
@given(
    arrays(np.float64, 30, elements=unit),
    arrays(np.int64, 30, elements=st.integers(-3, 5)),
    st.permutations(range(30)),
)
def test_intervals_hold_the_mean_and_do_not_depend_on_row_order(
    values: FloatArray, group: np.ndarray, order: list[int]
) -> None:
    one = bootstrap_mean(values, group_id=group, n_resamples=100)
    two = bootstrap_mean(values[order], group_id=group[order], n_resamples=100)
    assert abs(one.low - two.low) < 1e-9
    assert abs(one.high - two.high) < 1e-9
    assert np.isclose(one.value, values.mean())
    assert np.isclose(group_sums(values[:, None], group).sum(), values.sum())
