"""The oracle's lead, less what is luck."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.evaluation.ceiling import (
    corrected_gap,
    reachable_by_expectation,
    reachable_by_repeats,
)
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray


def labels(chance: FloatArray, seed: int = 1) -> FloatArray:
    return (np.random.default_rng(seed).random(chance.shape) < chance).astype(float)


def test_where_all_is_luck_nothing_is_reachable() -> None:
    Y = labels(np.full((4_000, 4), 0.6))
    twice = np.repeat(np.arange(2_000), 2).astype(str).tolist()
    repeats = reachable_by_repeats(Y, twice)
    expected = reachable_by_expectation(Y, np.full(Y.shape, 0.6), np.arange(4_000))
    assert repeats is not None
    for found in (repeats, expected):
        assert abs(found.value) < 0.06
        assert found.low <= 0.02


def test_where_nothing_is_luck_all_is_reachable() -> None:
    chance = np.random.default_rng(0).integers(0, 2, (500, 4)).astype(float)
    Y = np.repeat(labels(chance), 2, axis=0)
    repeats = reachable_by_repeats(Y, np.repeat(np.arange(500), 2).astype(str).tolist())
    assert repeats is not None
    assert repeats.value == pytest.approx(1.0)
    found = reachable_by_expectation(Y, np.repeat(chance, 2, axis=0), np.arange(1_000))
    assert found.value == pytest.approx(1.0)


def test_many_repeats_come_near_what_the_probabilities_give() -> None:
    chance = np.repeat(np.random.default_rng(0).uniform(0, 1, (300, 3)), 8, axis=0)
    Y = labels(chance)
    code = np.repeat(np.arange(300), 8)
    repeats = reachable_by_repeats(Y, code.astype(str).tolist())
    expected = reachable_by_expectation(Y, chance, code)
    assert repeats is not None
    assert expected.low - 0.15 < repeats.value < expected.value


def test_few_repeats_say_nothing() -> None:
    assert reachable_by_repeats(np.ones((40, 2)), [str(i) for i in range(40)]) is None
    assert reachable_by_repeats(np.ones((20, 2)), ["a"] * 20) is None


def test_a_gap_of_nothing_is_not_a_number() -> None:
    nothing = Estimate(0.0, -0.1, 0.1, 10)
    assert np.isnan(corrected_gap(Estimate(0.2, 0.1, 0.3, 10), nothing).value)
