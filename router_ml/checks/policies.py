"""What every policy promises, as functions that raise where one does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from router_ml.checks.examples import example_candidates, example_predictions
from router_ml.checks.require import close, raises, require
from router_ml.errors import InvalidRequestError
from router_ml.policies.base import Policy
from router_ml.policies.registry import from_dict
from router_ml.types.predictions import Predictions

PolicyCheck = Callable[[Policy], None]


def yield_policy_checks() -> Iterator[PolicyCheck]:
    """Every check of a policy over the candidates of :func:`example_candidates`, four of them."""
    yield check_probabilities
    yield check_ranking
    yield check_eligibility
    yield check_permutation_of_actions
    yield check_policy_round_trip
    yield check_policy_rows_are_independent


def check_policy(policy: Policy) -> None:
    """Run every check; AssertionError says which promise is broken.

    Examples
    --------
    >>> from router_ml.policies.cost_aware import CostAwarePolicy
    >>> check_policy(CostAwarePolicy(cost_weight=5.0))
    """
    for check in yield_policy_checks():
        check(policy)


def check_probabilities(policy: Policy) -> None:
    """Rows of probabilities sum to one, the same twice, and predictions stay as they were."""
    predictions, table = example_predictions(60), example_candidates(4)
    before = predictions.quality.copy()
    probs = policy.action_probs(predictions, table)
    require(probs.shape == (60, 4), f"action_probs must have shape (60, 4), got {probs.shape}")
    require(bool((probs >= 0).all()), "probabilities must be >= 0")
    close(probs.sum(axis=1), np.ones(60), "probabilities must sum to one")
    require(np.array_equal(probs, policy.action_probs(predictions, table)), "must not change")
    require(np.array_equal(before, predictions.quality), "must not write into predictions")


def check_ranking(policy: Policy) -> None:
    """A ranking names every candidate once; ``decide`` agrees with its two halves."""
    predictions, table = example_predictions(60), example_candidates(4)
    ranking = policy.ranking(predictions, table)
    require(bool((np.sort(ranking, axis=1) == np.arange(4)).all()), "a ranking is a permutation")
    cost = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    probs, order = policy.decide(predictions, table, cost, np.ones((60, 4), dtype=bool))
    require(np.array_equal(order, ranking), "decide() must rank as ranking()")
    close(probs, policy.action_probs(predictions, table), "decide() must draw as action_probs()")


def check_eligibility(policy: Policy) -> None:
    """The ineligible get nothing and rank last; a row without anyone eligible is refused."""
    predictions, table = example_predictions(60), example_candidates(4)
    eligible = np.random.default_rng(1).random((60, 4)) < 0.5
    eligible[np.arange(60), np.arange(60) % 4] = True
    probs = policy.action_probs(predictions, table, eligible=eligible)
    require(bool((probs[~eligible] == 0).all()), "an ineligible candidate must get nothing")
    close(probs.sum(axis=1), np.ones(60), "probabilities must sum to one among the eligible")
    ranked = np.take_along_axis(eligible, policy.ranking(predictions, table, eligible=eligible), 1)
    require(bool((np.diff(ranked.astype(int), axis=1) <= 0).all()), "the ineligible rank last")
    eligible[3] = False
    raises(
        InvalidRequestError,
        lambda: policy.action_probs(predictions, table, eligible=eligible),
        "a row without an eligible candidate",
    )


def check_permutation_of_actions(policy: Policy) -> None:
    """No candidate is special for standing first."""
    predictions, table, order = example_predictions(60), example_candidates(4), [2, 0, 3, 1]
    p = predictions
    twisted = Predictions(
        p.quality[:, order],
        p.input_tokens[:, order],
        p.output_tokens[:, order],
        p.latency_ms[:, order],
        None if p.quality_std is None else p.quality_std[:, order],
    )
    straight = policy.action_probs(predictions, table)[:, order]
    close(policy.action_probs(twisted, table.take(order)), straight, "permutation must carry over")


def check_policy_round_trip(policy: Policy) -> None:
    """``from_dict(to_dict())`` decides the same."""
    predictions, table = example_predictions(60), example_candidates(4)
    twin = from_dict(policy.to_dict())
    require(type(twin) is type(policy), f"came back as {type(twin).__name__}")
    close(
        twin.action_probs(predictions, table),
        policy.action_probs(predictions, table),
        "policy.json must decide the same",
    )


def check_policy_rows_are_independent(policy: Policy) -> None:
    """A request's probabilities do not depend on its batch."""
    predictions, table = example_predictions(60), example_candidates(4)
    many = policy.action_probs(predictions, table)
    for i in (0, 31, 59):
        one = policy.action_probs(predictions.take(np.array([i])), table)
        close(one[0], many[i], "a batch of one and a batch of many must agree")
