"""Calibration: what is right is left alone, what is wrong is put right, order is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_ml.estimators.calibration import fit_calibrator, fit_isotonic


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, n)
    return truth, (rng.random(n) < truth).astype(float)


def test_calibrated_predictions_are_left_nearly_alone() -> None:
    moved = []
    for seed in range(20):
        truth, labels = sample(4_000, seed)
        moved.append(np.abs(fit_calibrator(truth, labels)(truth) - truth).mean())
    # Isotonic regression alone moves them by 0.016 on average.
    assert np.median(moved) < 0.003


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_what_is_off_is_put_right(power: float) -> None:
    truth, labels = sample(20_000)
    off = truth**power
    calibrated = fit_calibrator(off, labels)(off)
    assert np.abs(calibrated - truth).mean() < 0.15 * np.abs(off - truth).mean()


def test_weights_count() -> None:
    truth, labels = sample(20_000)
    rng = np.random.default_rng(1)
    kept = np.where(labels == 1, 0.25, 1.0)  # right answers are labelled four times less often
    seen = rng.random(len(labels)) < kept
    fitted = fit_calibrator(truth[seen], labels[seen], 1.0 / kept[seen])
    assert np.abs(fitted(truth) - truth).mean() < 0.02


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(0, 1_000), st.booleans())
def test_the_map_never_turns_back_and_stays_inside(n: int, seed: int, few: bool) -> None:
    rng = np.random.default_rng(seed)
    p = rng.choice([0.2, 0.5, 0.9], n) if few else rng.random(n)
    fitted = fit_isotonic(p, rng.uniform(-0.5, 1.5, n), rng.uniform(0.1, 5.0, n))
    out = fitted(np.linspace(0.0, 1.0, 101))
    assert np.all(np.diff(out) >= -1e-12)
    assert out.min() >= 0.0
    assert out.max() <= 1.0
