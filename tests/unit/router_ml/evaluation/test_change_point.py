from __future__ import annotations

import numpy as np

from router_ml.evaluation.change_point import last_change


def draws(*parts: tuple[int, float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([(rng.random(n) < p).astype(float) for n, p in parts])


def test_a_drop_is_found_where_it_is() -> None:
    found = [last_change(draws((400, 0.9), (60, 0.4), seed=seed)) for seed in range(100)]
    assert sum(abs(row - 400) <= 10 for row in found) >= 95


def test_the_last_of_several_changes_counts() -> None:
    assert abs(last_change(draws((300, 0.9), (300, 0.2), (300, 0.8))) - 600) <= 10


def test_false_alarms_are_rare() -> None:
    alarms = sum(last_change(draws((n, 0.85), seed=n + s)) > 0 for n in (100, 1_000) for s in
                 range(500))  # fmt: skip
    # one in a thousand is promised; five would be four standard errors above it
    assert alarms <= 5


def test_a_series_without_variation_or_too_short_has_no_change() -> None:
    assert last_change(np.ones(500)) == 0
    assert last_change(draws((10, 1.0), (10, 0.0))) == 0
    assert last_change(np.zeros(0)) == 0
