from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from router_ml.evaluation.off_policy.estimators import (
    RowValues,
    direct_method,
    doubly_robust,
    ipw,
    snips,
)
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.sensitivity import sensitivity_bounds, worst_case_bounds
from router_ml.types.arrays import FloatArray, IntArray

N, K = 8, 3
unit = st.floats(0.0, 1.0, width=32)
positive = arrays(np.float64, (N, K), elements=st.floats(0.05, 1.0))
outcomes = arrays(np.float64, N, elements=unit)
actions = arrays(np.int64, N, elements=st.integers(0, K - 1))


def normalise(x: FloatArray) -> FloatArray:
    shares: FloatArray = x / x.sum(axis=1, keepdims=True)
    return shares


def make(behavior: FloatArray, action: IntArray, outcome: FloatArray) -> LoggedFeedback:
    return LoggedFeedback(action, behavior[np.arange(N), action], outcome)


@given(positive, actions, outcomes)
def test_ipw_of_the_behaviour_policy_is_the_mean_outcome(
    behavior: FloatArray, action: IntArray, outcome: FloatArray
) -> None:
    behavior = normalise(behavior)
    log = make(behavior, action, outcome)
    assert np.isclose(ipw(log, behavior).value, outcome.mean())
    assert np.isclose(snips(log, behavior).value, outcome.mean())
    assert np.isclose(snips(log, behavior).effective_sample_size, N)


@given(positive, positive, actions, outcomes)
def test_snips_stays_in_the_range_of_outcomes_and_moves_with_them(
    behavior: FloatArray, target: FloatArray, action: IntArray, outcome: FloatArray
) -> None:
    behavior, target = normalise(behavior), normalise(target)
    value = snips(make(behavior, action, outcome), target).value
    assert outcome.min() - 1e-9 <= value <= outcome.max() + 1e-9
    assert np.isclose(snips(make(behavior, action, outcome + 2.0), target).value, value + 2.0)


@given(positive, positive, actions, outcomes, arrays(np.float64, (N, K), elements=unit))
def test_dr_is_ipw_without_predictions_and_dm_with_perfect_ones(
    behavior: FloatArray,
    target: FloatArray,
    action: IntArray,
    outcome: FloatArray,
    predicted: FloatArray,
) -> None:
    behavior, target = normalise(behavior), normalise(target)
    log = make(behavior, action, outcome)
    nothing = doubly_robust(log, target, np.zeros((N, K)))
    assert np.isclose(nothing.value, ipw(log, target).value)
    predicted[np.arange(N), action] = outcome
    perfect = doubly_robust(log, target, predicted)
    assert np.isclose(perfect.value, direct_method(log, target, predicted).value)


@given(positive, positive, actions, outcomes, st.permutations(range(K)))
def test_renaming_candidates_changes_nothing(
    behavior: FloatArray,
    target: FloatArray,
    action: IntArray,
    outcome: FloatArray,
    order: list[int],
) -> None:
    behavior, target = normalise(behavior), normalise(target)
    new_name = np.argsort(order)
    renamed = make(behavior[:, order], new_name[action], outcome)
    predicted = np.linspace(0, 1, N * K).reshape(N, K)
    one: RowValues = doubly_robust(make(behavior, action, outcome), target, predicted)
    two = doubly_robust(renamed, target[:, order], predicted[:, order])
    assert np.allclose(one.influence, two.influence)
    assert np.isclose(one.influence.mean(), one.value)


@given(positive, actions, outcomes, st.floats(1.0, 5.0), st.floats(1.0, 3.0))
def test_bounds_widen_with_gamma_and_hold_snips(
    target: FloatArray, action: IntArray, outcome: FloatArray, gamma: float, more: float
) -> None:
    target = normalise(target)
    log = LoggedFeedback(action, np.full(N, 1 / K), outcome, np.full(N, 0.6))
    value = snips(log, target).value
    inner = sensitivity_bounds(log, target, gamma=gamma)
    outer = sensitivity_bounds(log, target, gamma=gamma * more)
    assert outer.low - 1e-9 <= inner.low <= value + 1e-9
    assert value - 1e-9 <= inner.high <= outer.high + 1e-9
    worst = worst_case_bounds(log, target)
    assert np.isclose(worst.low, worst.high)
