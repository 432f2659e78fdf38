"""A card's error has a common part, and levels within their noise are drawn together."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.card_levels import COMMON, believed_levels

CARD, STD = np.array([0.9, 0.8, 0.8, 0.7]), np.full(4, 0.1)


def test_labels_of_others_correct_the_level_of_who_was_never_asked() -> None:
    seen = CARD - 0.1
    precision = np.array([1e4, 1e4, 1e4, 0.0])
    mean, std = believed_levels(CARD, STD, seen, precision)
    assert 0.6 < mean[3] < 0.625  # three candidates of four are a tenth below their cards
    np.testing.assert_allclose(mean[:3], seen[:3], atol=1e-3)
    assert (std[:3] < 0.011).all()
    assert 0.02 < std[3] < 0.1


def test_one_candidate_is_the_precision_weighted_mean() -> None:
    mean, std = believed_levels(
        np.array([0.9]), np.array([0.1]), np.array([0.8]), np.array([31.25])
    )
    assert np.isclose(mean[0], (0.9 / 0.01 + 0.8 * 31.25) / (1 / 0.01 + 31.25))
    assert np.isclose(std[0], (1 / 0.01 + 31.25) ** -0.5)


def test_levels_are_those_of_the_model_by_simulation() -> None:
    """Posterior against 200,000 draws of the model, kept where they come near what was seen."""
    rng = np.random.default_rng(0)
    n = 200_000
    spread = rng.choice([1.0, 0.71, 0.5, 0.35, 0.25], n)[:, None]
    level = 0.8 + np.sqrt(COMMON) * 0.1 * rng.standard_normal((n, 1))
    level = level + np.sqrt(1.0 - COMMON) * 0.1 * spread * rng.standard_normal((n, 3))
    precision = np.full(3, 400.0)
    shown = level + rng.standard_normal((n, 3)) / 20.0
    seen = np.array([0.85, 0.8, 0.72])
    near = (np.abs(shown - seen) < 0.02).all(axis=1)
    mean, std = believed_levels(np.full(3, 0.8), np.full(3, 0.1), seen, precision)
    error = level[near].std(axis=0) / np.sqrt(near.sum())
    assert (np.abs(level[near].mean(axis=0) - mean) < 4 * error + 0.001).all()
    np.testing.assert_allclose(level[near].std(axis=0), std, rtol=0.06)


def test_levels_within_their_noise_are_drawn_together() -> None:
    flat, wide = np.full(6, 0.5), np.full(6, 0.25)
    seen = np.array([0.70, 0.80, 0.75, 0.72, 0.78, 0.75])
    mean, _ = believed_levels(flat, wide, seen, np.full(6, 100.0))
    assert np.ptp(mean) < 0.7 * np.ptp(seen)
    apart, _ = believed_levels(flat, wide, seen, np.full(6, 1e5))
    np.testing.assert_allclose(apart, seen, atol=2e-3)


def test_without_labels_the_card_is_all() -> None:
    mean, std = believed_levels(CARD, STD, np.zeros(4), np.zeros(4))
    np.testing.assert_array_equal(mean, CARD)
    np.testing.assert_array_equal(std, STD)
