import numpy as np
import pytest

from router_ml.estimators.effects import split_effects, split_predictions


def test_full_information_is_rebuilt_exactly() -> None:
    Y = np.random.default_rng(0).random((50, 4))
    effects = split_effects(Y, np.ones(Y.shape, bool), np.ones(Y.shape), prior=0.0)
    rebuilt = effects.level + effects.target[:, :1] + effects.target[:, 1:]
    np.testing.assert_allclose(rebuilt, Y, atol=1e-12)
    np.testing.assert_allclose(effects.target[:, 1:].sum(axis=1), 0.0, atol=1e-12)


def test_a_candidate_served_the_hard_queries_is_not_blamed_for_them() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(4000) < 0.5
    truth = np.where(hard, 0.3, 0.8)[:, None] + np.array([0.1, 0.0, 0.0])
    # Candidate 0 is the best, and mostly served what is hard.
    observed = rng.random(truth.shape) < np.where(hard, 0.8, 0.1)[:, None]
    observed[:, 1:] = rng.random((4000, 2)) < 0.6
    naive = [truth[observed[:, k], k].mean() for k in range(3)]
    level = split_effects(truth, observed, observed.astype(float)).level
    assert naive[0] < naive[1]
    assert level[0] > level[1]


def test_alike_columns_share_weights() -> None:
    weight = np.ones((6, 3))
    weight[0, 1] = 0.0
    effects = split_effects(np.full((6, 3), 0.5), weight > 0, weight)
    assert sorted(map(sorted, effects.alike())) == [[1, 3], [2]]


def test_split_predictions_adds_up() -> None:
    quality = np.random.default_rng(2).random((5, 3))
    level = np.array([0.2, 0.5, 0.6])
    common, contrast = split_predictions(quality, level)
    np.testing.assert_allclose(level + common + contrast, quality)
    assert contrast.sum(axis=1) == pytest.approx(np.zeros(5))
