"""Pseudo-outcomes, the direct policy and shrunken DR, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import SchemaError
from router_ml.evaluation.off_policy.direct import learn_budget_policy
from router_ml.evaluation.off_policy.estimators import direct_method, doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.pseudo_outcomes import pseudo_outcomes
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

N, K = 6_000, 3
TABLE = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (2.0, 2.0), "c": (8.0, 8.0)})


def _log(seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """True qualities, and labels and weights of a log that sends hard queries to candidate c."""
    rng = np.random.default_rng(seed)
    hard = rng.random(N)
    chance = np.stack([0.95 - 0.8 * hard, 0.7 - 0.6 * hard, 0.8 - 0.1 * hard], axis=1)
    probs = np.stack([(1.0 - hard) ** 3, np.full(N, 0.3), hard**3], axis=1)
    probs = 0.9 * probs / probs.sum(axis=1, keepdims=True) + 0.1 / K
    action = (rng.random((N, 1)) > np.cumsum(probs, axis=1)[:, :-1]).sum(axis=1)
    served = np.eye(K, dtype=bool)[action]
    outcome = (rng.random((N, K)) < chance).astype(float)
    return chance, np.where(served, outcome, np.nan), np.where(served, 1.0 / probs, 0.0)


def _naive(Y: FloatArray) -> FloatArray:
    return np.tile(np.nanmean(Y, axis=0), (N, 1))


def test_pseudo_outcomes_undo_the_selection_that_biases_naive_means() -> None:
    chance, Y, weight = _log(0)
    naive = _naive(Y)
    truth = chance.mean(axis=0)
    assert naive[0, 0] - truth[0] > 0.1  # the cheap candidate answered the easy queries
    pseudo = pseudo_outcomes(naive, Y, weight, np.ones(N))
    error = pseudo.std(axis=0) / np.sqrt(N)
    assert np.all(np.abs(pseudo.mean(axis=0) - truth) < 4.0 * error)
    assert pseudo.min() < 0.0
    assert pseudo.max() > 1.0


def test_pseudo_outcomes_on_full_information_are_the_outcomes() -> None:
    rng = np.random.default_rng(1)
    Y = rng.random((50, K))
    requests = rng.integers(1, 5, 50).astype(float)
    weight = np.tile(requests[:, None], (1, K))  # every request showed every candidate
    got = pseudo_outcomes(rng.random((50, K)), Y, 7.0 * weight, requests)
    assert got == pytest.approx(Y)


def test_a_candidate_without_labels_keeps_its_prediction() -> None:
    _, Y, weight = _log(2)
    Y[:, 1], weight[:, 1] = np.nan, 0.0
    got = pseudo_outcomes(np.full((N, K), 0.4), Y, weight, np.ones(N))
    assert np.all(got[:, 1] == 0.4)
    with pytest.raises(SchemaError, match="a labelled cell"):
        pseudo_outcomes(got, np.full((N, K), np.nan), weight, np.ones(N))
    with pytest.raises(SchemaError, match="one shape"):
        pseudo_outcomes(got[:, :2], Y, weight, np.ones(N))


def _worth(policy_probs: FloatArray, chance: FloatArray) -> float:
    return float(np.mean(np.sum(policy_probs * chance, axis=1)))


def test_the_direct_policy_beats_the_naive_one_at_the_same_budget() -> None:
    chance, Y, weight = _log(3)
    naive = _naive(Y) + 0.05 * (chance - chance.mean(axis=0))  # a little of the truth, wrong levels
    tokens = np.full((N, K), 500.0)
    predictions = Predictions(naive, tokens, tokens, tokens)
    pseudo = pseudo_outcomes(naive, Y, weight, np.ones(N))
    budget = 0.007
    found = learn_budget_policy(
        predictions,
        TABLE,
        pseudo,
        budget_usd=budget,
        requests=np.ones(N),
        group_id=np.arange(N),
    )
    assert found.as_dict()["kept"] is True
    assert found.z > 2.0
    probs = found.policy.action_probs(predictions, TABLE)
    spent = np.mean(np.sum(probs * TABLE.cost_usd(tokens, tokens), axis=1))
    assert spent <= budget * 1.001
    plain = type(found.policy).solve(predictions, TABLE, budget_usd=budget)
    assert _worth(probs, chance) > _worth(plain.action_probs(predictions, TABLE), chance) + 0.005


def test_the_direct_policy_is_the_plain_one_where_offsets_gain_nothing() -> None:
    chance, _, _ = _log(4)
    tokens = np.full((N, K), 500.0)
    predictions = Predictions(chance, tokens, tokens, tokens)
    found = learn_budget_policy(
        predictions, TABLE, chance, budget_usd=0.004, requests=np.ones(N), group_id=np.arange(N)
    )
    assert found.policy.offsets == {}
    assert found.gain < 1e-3


def _feedback(seed: int, n: int) -> tuple[LoggedFeedback, FloatArray]:
    rng = np.random.default_rng(seed)
    action = rng.choice(2, size=n, p=[0.1, 0.9])
    outcome = (rng.random(n) < np.array([0.8, 0.6])[action]).astype(float)
    log = LoggedFeedback(action, np.array([0.1, 0.9])[action], outcome)
    return log, np.tile([1.0, 0.0], (n, 1))


def test_shrinkage_believes_right_predictions_and_corrects_wrong_ones() -> None:
    right, wrong = list[tuple[float, float]](), list[tuple[float, float]]()
    for seed in range(60):
        log, probs = _feedback(seed, 400)
        for found, q in ((right, 0.8), (wrong, 0.3)):
            predicted = np.full((400, 2), q)
            shrunken = shrunken_doubly_robust(log, probs, predicted)
            full = doubly_robust(log, probs, predicted, self_normalised=True)
            found.append((shrunken.value, full.value))
            interval, other = shrunken.wilson(), full.wilson()
            assert interval.low <= shrunken.value <= interval.high
            assert interval.low <= other.low
            assert interval.high >= other.high
    error = np.sqrt(np.mean((np.array(right) - 0.8) ** 2, axis=0))
    assert error[0] < 0.7 * error[1]
    error = np.sqrt(np.mean((np.array(wrong) - 0.8) ** 2, axis=0))
    assert error[0] < 1.1 * error[1]


def test_shrinkage_vanishes_as_the_log_grows() -> None:
    log, probs = _feedback(0, 40_000)
    predicted = np.full((40_000, 2), 0.7)
    full = doubly_robust(log, probs, predicted, self_normalised=True).value
    direct = direct_method(log, probs, predicted).value
    kept = (shrunken_doubly_robust(log, probs, predicted).value - direct) / (full - direct)
    assert kept > 0.95
