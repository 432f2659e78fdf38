from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from router_ml.errors import ConfigError
from router_ml.policies.exploration import (
    BoltzmannPolicy,
    EpsilonGreedyPolicy,
    ExploringPolicy,
    ThompsonPolicy,
    _normal_cdf,
)
from router_ml.policies.registry import from_dict
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

TABLE = CandidateTable.from_prices({"a": (0.1, 0.4), "b": (1.0, 4.0), "c": (5.0, 20.0)})
ALL: list[ExploringPolicy] = [
    EpsilonGreedyPolicy(epsilon=0.1, floor=0.02),
    BoltzmannPolicy(temperature=0.05, floor=0.02),
    ThompsonPolicy(floor=0.02),
]


def predictions(n: int = 50, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    tokens = np.full((n, 3), 200.0)
    return Predictions(
        rng.uniform(0.5, 1.0, (n, 3)), tokens, tokens, tokens, rng.uniform(0.01, 0.2, (n, 3))
    )


@pytest.mark.parametrize("policy", ALL, ids=lambda p: p.name)
def test_floor_holds_for_every_eligible_candidate_and_no_other(policy: ExploringPolicy) -> None:
    eligible = np.ones((50, 3), dtype=bool)
    eligible[::2, 1] = False
    probs = policy.action_probs(predictions(), TABLE, eligible=eligible)
    assert np.allclose(probs.sum(axis=1), 1.0)
    assert np.all(probs[eligible] >= 0.02 - 1e-12)
    assert np.all(probs[~eligible] == 0.0)


@pytest.mark.parametrize("policy", ALL, ids=lambda p: p.name)
def test_round_trip_through_its_dictionary(policy: ExploringPolicy) -> None:
    again = from_dict(policy.to_dict())
    assert again.to_dict() == policy.to_dict()
    assert np.array_equal(
        again.action_probs(predictions(), TABLE), policy.action_probs(predictions(), TABLE)
    )


@pytest.mark.parametrize("policy", ALL, ids=lambda p: p.name)
def test_a_missing_prediction_never_wins(policy: ExploringPolicy) -> None:
    rows = predictions()
    rows.quality[0] = [np.nan, 0.9, 0.8]
    rows.quality[1] = np.nan
    probs = policy.action_probs(rows, TABLE)
    assert np.all(np.isfinite(probs))
    assert probs[0, 0] <= 0.1 / 3 + 0.02
    assert np.allclose(probs.sum(axis=1), 1.0)


def test_a_floor_too_high_for_the_row_becomes_uniform() -> None:
    probs = EpsilonGreedyPolicy(epsilon=0.0, floor=0.5).action_probs(predictions(), TABLE)
    assert np.allclose(probs, 1 / 3)


def test_a_newcomer_on_trial_gets_its_share_of_what_it_may_answer() -> None:
    eligible = np.ones((50, 3), dtype=bool)
    eligible[::2, 2] = False
    policy = BoltzmannPolicy(temperature=0.01, floor=0.02, trial={"c": 0.3, "gone": 0.9})
    probs = policy.action_probs(predictions(), TABLE, eligible=eligible)
    assert np.allclose(probs.sum(axis=1), 1.0)
    assert np.all(probs[1::2, 2] >= 0.3 - 1e-12)
    assert np.all(probs[::2, 2] == 0.0)
    assert np.all(probs[:, :2] >= 0.02 - 1e-12)
    assert from_dict(policy.to_dict()).to_dict() == policy.to_dict()


def test_trials_of_more_than_one_share_it() -> None:
    policy = EpsilonGreedyPolicy(epsilon=0.0, trial={"a": 1.0, "b": 1.0})
    assert np.allclose(policy.action_probs(predictions(), TABLE), [0.5, 0.5, 0.0])


def test_thompson_matches_simulation() -> None:
    rows = predictions(20, seed=1)
    assert rows.quality_std is not None
    probs = ThompsonPolicy().action_probs(rows, TABLE)
    draws = np.random.default_rng(2).normal(
        rows.quality, rows.quality_std, size=(40_000, *rows.quality.shape)
    )
    simulated = np.eye(3)[draws.argmax(axis=2)].mean(axis=0)
    # Five standard errors of 40,000 draws, plus the quadrature's own error on sharp steps.
    assert np.abs(probs - simulated).max() < 5 * np.sqrt(0.25 / 40_000) + 0.01


def test_thompson_without_uncertainty_is_refused() -> None:
    rows = predictions()
    plain = Predictions(rows.quality, rows.input_tokens, rows.output_tokens, rows.latency_ms)
    with pytest.raises(ConfigError, match="needs quality_std"):
        ThompsonPolicy().action_probs(plain, TABLE)


def test_cost_moves_the_draw() -> None:
    rows = predictions()
    free = BoltzmannPolicy().action_probs(rows, TABLE)
    dear = BoltzmannPolicy(cost_weight=1e3).action_probs(rows, TABLE)
    assert dear[:, 0].mean() > free[:, 0].mean() + 0.2


def test_normal_distribution_function() -> None:
    x = np.linspace(-40, 40, 2_001)
    assert np.abs(_normal_cdf(x) - norm.cdf(x)).max() < 1e-7


def test_bad_parameters_are_named() -> None:
    for make, message in (
        (lambda: EpsilonGreedyPolicy(epsilon=2.0), "epsilon must be"),
        (lambda: BoltzmannPolicy(temperature=0.0), "temperature must be"),
        (lambda: ThompsonPolicy(scale=0.0), "scale must be"),
        (lambda: ThompsonPolicy(floor=-0.1), "floor must be"),
        (lambda: ThompsonPolicy(trial={"a": 1.5}), "trial must be"),
        (lambda: ThompsonPolicy(cost_weight=-1.0), "cost_weight must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_thompson_takes_standard_errors_of_candidates_where_predictions_have_none() -> None:
    table = CandidateTable.from_prices({"known": (1.0, 1.0), "new": (1.0, 1.0)})
    tokens = np.full((1, 2), 100.0)
    predictions = Predictions(np.array([[0.8, 0.7]]), tokens, tokens, tokens)
    std = {"known": 0.01, "new": 0.2}
    named = ThompsonPolicy(std=std).action_probs(predictions, table)
    own = replace(predictions, quality_std=np.array([[0.01, 0.2]]))
    assert named == pytest.approx(ThompsonPolicy().action_probs(own, table))
    assert 0.2 < named[0, 1] < 0.4  # 0.1 worse, half a standard error of 0.2: P(z > 0.5) = 0.31
    cost = table.cost_usd(tokens, tokens)
    probs, _ = ThompsonPolicy(std=std).decide(predictions, table, cost, np.ones((1, 2), bool))
    assert probs == pytest.approx(named)
    with pytest.raises(ConfigError, match="needs quality_std"):
        ThompsonPolicy().action_probs(predictions, table)
