from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.estimators import doubly_robust, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.propensities import (
    FLOOR_SHARE,
    behavior_policy,
    estimated_propensities,
    log_loss,
    query_features,
    with_propensities,
)
from router_ml.evaluation.off_policy.today import today_values
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray, IntArray


@pytest.fixture(scope="module")
def log() -> TrainingTable:
    """Long questions go to the second candidate more often."""
    rng = np.random.default_rng(5)
    n = 300
    asks = [f"Question {i}?" + " And why is that so?" * int(i % 3 == 0) * 8 for i in range(n)]
    probs = np.where(np.arange(n) % 3 == 0, 0.8, 0.2)
    chosen = (rng.random(n) < probs).astype(np.int64)
    names = tuple(f"{i:08x}" for i in range(n))
    Y = np.full((n, 2), np.nan)
    Y[np.arange(n), chosen] = rng.integers(2, size=n)
    known = np.ones(n)
    return TrainingTable(
        request_id=names,
        queries=tuple(map(Query, asks)),
        candidates=("a", "b"),
        Y=Y,
        weight=known,
        chosen=chosen,
        served=chosen,
        propensity=np.where(chosen == 1, probs, 1.0 - probs),
        action_probs=np.full((n, 2), np.nan),
        eligible=np.ones((n, 2), dtype=bool),
        outdated=np.zeros((n, 2), dtype=bool),
        query_id=names,
        group_id=names,
        time=np.arange(n).astype("datetime64[us]"),
        input_tokens=known,
        output_tokens=known,
        latency_ms=known,
        cost_usd=known,
        succeeded=np.ones(n, dtype=bool),
        answer=(None,) * n,
        finish_reason=("",) * n,
        split=("test",) * n,
    )


def ruled_log(n: int, seed: int) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
    """Features, true probabilities, actions and qualities; a threshold decides who serves."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    probs = np.where(features[:, :1] > 0.3, [[0.1, 0.6, 0.3]], [[0.7, 0.25, 0.05]])
    action = (rng.random((n, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    means = 0.5 + 0.2 * np.tanh(features[:, :1]) + np.array([[0.0, 0.1, 0.2]])
    quality = (rng.random((n, 3)) < means).astype(float)
    return features, probs, action, quality


def test_rules_are_learned_and_weights_add_up_to_the_log() -> None:
    features, truth, action, _ = ruled_log(4_000, seed=0)
    probs = estimated_propensities(features, action, 3, np.arange(4_000))
    shares = np.bincount(action, minlength=3) / len(action)
    for k in range(3):
        assert (1.0 / probs[action == k, k]).sum() == pytest.approx(4_000, rel=0.02)
    np.testing.assert_allclose(probs.mean(axis=0), shares, atol=0.01)
    assert (probs >= FLOOR_SHARE * shares - 1e-12).all()
    constant = log_loss(np.tile(shares, (4_000, 1)), action)
    best = log_loss(truth, action)
    assert log_loss(probs, action) - best < 0.25 * (constant - best)


def test_what_a_router_explored_keeps_its_weight() -> None:
    """A smooth model of a hard choice would halve it, or worse."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(4_000, 6))
    best = (features @ rng.normal(size=(6, 3)) + [1.0, 0.0, -0.5]).argmax(axis=1)
    truth = 0.85 * np.eye(3)[best] + 0.05
    action = (rng.random((4_000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    rows = np.arange(4_000)
    probs = estimated_propensities(features, action, 3, rows)
    explored = action != best
    weight = truth[rows, action] / probs[rows, action]
    assert weight[explored].mean() == pytest.approx(1.0, abs=0.2)


def test_where_nothing_can_be_learned_shares_remain() -> None:
    rng = np.random.default_rng(1)
    action = rng.choice(3, size=600, p=[0.6, 0.3, 0.1])
    probs = estimated_propensities(rng.normal(size=(600, 5)), action, 3, np.arange(600))
    shares = np.bincount(action, minlength=3) / 600
    assert np.abs(probs - shares).max() < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_policy_values_are_as_good_as_with_true_propensities(seed: int) -> None:
    features, truth, action, quality = ruled_log(6_000, seed=10 + seed)
    rows = np.arange(6_000)
    outcome = quality[rows, action]
    probs = np.eye(3)[np.where(features[:, 0] > 0, 1, 0)]
    value = float((probs * quality).sum(axis=1).mean())
    guess = np.full((6_000, 3), outcome.mean())
    estimated = estimated_propensities(features, action, 3, rows)
    found = {
        name: doubly_robust(LoggedFeedback(action, p[rows, action], outcome), probs, guess)
        for name, p in (("true", truth), ("estimated", estimated))
    }
    assert abs(found["estimated"].value - value) < 3.5 * found["true"].standard_error()
    naive = np.bincount(action, minlength=3)[action] / 6_000
    shares = snips(LoggedFeedback(action, naive, outcome), probs).value
    assert abs(found["estimated"].value - value) < abs(shares - value) + 0.01


def test_one_candidate_and_one_prompt_are_no_reason_to_crash() -> None:
    features = np.zeros((5, 2))
    one = estimated_propensities(features, np.zeros(5, dtype=np.int64), 2, np.arange(5))
    assert one[:, 0].tolist() == pytest.approx([1.0] * 5)
    same = estimated_propensities(features, np.array([0, 1, 0, 1, 0]), 2, np.zeros(5, np.int64))
    np.testing.assert_allclose(same, [[0.6, 0.4]] * 5)


def test_today_needs_no_propensity_and_is_the_mean_of_what_was_served() -> None:
    rng = np.random.default_rng(3)
    action = rng.integers(3, size=500)
    outcome = rng.random(500)
    tiny = LoggedFeedback(action, np.full(500, 1e-3), outcome)
    values = today_values(tiny, rng.random((500, 3)))
    assert values.value == pytest.approx(outcome.mean())
    half = np.where(rng.random(500) < 0.5, outcome, np.nan)
    labelled = LoggedFeedback(action, np.full(500, 0.3), half, np.full(500, 0.5))
    partly = today_values(labelled, np.full((500, 3), 0.5))
    assert abs(partly.value - outcome.mean()) < 4.0 * partly.standard_error()


def test_a_log_without_propensities_gets_them_and_says_so(log: TrainingTable) -> None:
    hidden = replace(log, propensity=np.full(len(log), np.nan))
    found = with_propensities(hidden)
    assert found.propensity_source == "estimated"
    assert ((found.propensity > 0.0) & (found.propensity <= 1.0)).all()
    assert found.take(np.arange(3)).propensity_source == "estimated"
    assert with_propensities(found) is found
    assert with_propensities(log).propensity_source == "logged"


def test_the_logs_policy_is_played_on_other_queries(log: TrainingTable) -> None:
    probs = behavior_policy(log, [Query("Something new?"), Query("And this?")])
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    shares = np.bincount(log.chosen, minlength=len(log.candidates)) / len(log)
    assert np.abs(probs - shares).max() < 0.4


def test_features_are_of_text_and_tools() -> None:
    tool = {"name": "weather", "description": "Weather in a city."}
    queries = [Query("Weather in Oslo?"), Query("Weather in Oslo?", tools=(tool,)), Query("Hi")]
    features = query_features(queries)
    assert len(features) == 3
    assert not np.allclose(features[0], features[1])
