"""Prediction-powered means: unbiased under a biased judge, covered, shorter than gold alone."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.prediction_powered import prediction_powered_mean
from router_ml.types.arrays import FloatArray


def draw(seed: int, *, noise: float = 0.15) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Judge (too kind to the hard half), gold of a tenth where hard rows are asked more, odds."""
    rng = np.random.default_rng(seed)
    hard = rng.random(2_000) < 0.5
    truth = (rng.random(2_000) < np.where(hard, 0.5, 0.9)).astype(float)
    judge = 0.7 * truth + np.where(hard, 0.4, 0.2) + rng.normal(0.0, noise, 2_000)
    odds = np.where(hard, 0.15, 0.05)
    gold = np.where(rng.random(2_000) < odds, truth, np.nan)
    return judge, gold, odds


def test_intervals_cover_under_a_biased_judge() -> None:
    hits, misled, draws = 0, 0, 300
    for seed in range(draws):
        judge, gold, odds = draw(seed)
        found = prediction_powered_mean(judge, gold, probability=odds)
        hits += found.quality.low <= 0.7 <= found.quality.high
        misled += not found.judge_only.low <= 0.7 <= found.judge_only.high
    error = np.sqrt(0.95 * 0.05 / draws)
    assert abs(hits / draws - 0.95) < 4 * error
    assert misled > 0.9 * draws


def test_a_good_judge_shortens_the_interval_and_a_blind_one_does_not_widen_it() -> None:
    judge, gold, odds = draw(0)
    good = prediction_powered_mean(judge, gold, probability=odds)
    assert good.quality.half_width < 0.7 * good.gold_only.half_width
    blind = np.random.default_rng(9).random(len(judge))
    none = prediction_powered_mean(blind, gold)
    assert none.judge_weight < 0.2
    assert none.quality.half_width < 1.1 * none.gold_only.half_width


def test_gold_everywhere_is_its_mean() -> None:
    truth = (np.random.default_rng(1).random(500) < 0.6).astype(float)
    found = prediction_powered_mean(np.full(500, 0.9), truth)
    assert found.quality.value == pytest.approx(truth.mean())
    assert found.judge_bias.value == pytest.approx(0.9 - truth.mean())


def test_groups_are_the_unit() -> None:
    judge, gold, _ = draw(2)
    twice = prediction_powered_mean(
        np.tile(judge, 2), np.tile(gold, 2), np.tile(np.arange(len(judge)), 2)
    )
    once = prediction_powered_mean(judge, gold)
    assert twice.quality.half_width == pytest.approx(once.quality.half_width, rel=0.01)


def test_what_cannot_be_estimated_is_refused() -> None:
    judge, gold, _ = draw(3)
    with pytest.raises(DataError, match="at least 30 gold"):
        prediction_powered_mean(judge[:40], np.where(np.arange(40) < 5, 1.0, np.nan))
    with pytest.raises(SchemaError, match="in every row"):
        prediction_powered_mean(np.where(np.arange(len(judge)) == 0, np.nan, judge), gold)
    with pytest.raises(SchemaError, match="probability"):
        prediction_powered_mean(judge, gold, probability=np.zeros(len(judge)))
