"""The direct policy learner: maximise the doubly robust value under a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import softmax

from router_ml.data.groups import group_folds, splits
from router_ml.errors import SchemaError
from router_ml.evaluation.intervals import cluster_mean
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

TEMPERATURE: Final = 0.03
"""Utility at which the maximised softmax policy hesitates; chosen, as the next, on worlds apart."""
RIDGE: Final = 0.1
"""Penalty of squared offsets, in units of value."""
MIN_Z: Final = 0.5
"""Offsets are kept if they raise the cross-fitted value by this many standard errors."""
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class DirectPolicy:
    """What :func:`learn_budget_policy` found.

    Parameters
    ----------
    policy : the budget policy, with offsets if they were kept
    gain : cross-fitted difference of value to the policy without offsets, quality points
    z : ``gain`` in standard errors
    """

    policy: BudgetPolicy
    gain: float
    z: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {"gain": self.gain, "z": self.z, "kept": bool(self.policy.offsets)}


def learn_budget_policy(
    predictions: Predictions,
    candidates: CandidateTable,
    pseudo: FloatArray,
    *,
    budget_usd: float,
    requests: FloatArray,
    group_id: IntArray,
    n_folds: int = 5,
) -> DirectPolicy:
    r"""Learn what a candidate is worth beyond its predictions, by the value of deciding so.

    The policy picks :math:`\arg\max_k \hat q_{ik} + b_k - \lambda c_{ik}`. Offsets b maximise

    .. math:: \sum_i m_i \sum_k \pi^b_{ik} (\Gamma_{ik} - \lambda c_{ik}) \Big/ \sum_i m_i
              - \rho \lVert b \rVert^2, \quad
              \pi^b_i = \mathrm{softmax}\big((\hat q_i + b - \lambda c_i) / \tau\big)

    with :math:`\Gamma` the pseudo-outcomes of :func:`pseudo_outcomes`, and :math:`\lambda` is
    solved anew for the budget, in turns. So few numbers hold what selection does to predictions
    most of all, a wrong level where a candidate decides, and cannot fit the noise of single cells.
    Constants and every cost-aware router are inside the class. If a cross-fitted comparison does
    not find the offsets worth having, there are none.

    Parameters
    ----------
    predictions : of n training queries, out of fold, arrays of shape (n, K)
    pseudo : float array, shape (n, K)
    budget_usd : mean dollars a request
    requests : float array, shape (n,), how often each query was asked
    group_id : int array, shape (n,), the independent unit
    n_folds : of the comparison

    Raises
    ------
    ConfigError
        If even the cheapest candidates cost more than the budget.

    References
    ----------
    .. [1] Athey and Wager, "Policy Learning with Observational Data", Econometrica, 2021.
    """
    if pseudo.shape != predictions.quality.shape or len(requests) != len(pseudo):
        raise SchemaError(
            f"pseudo must be {predictions.quality.shape} and requests {len(predictions)}, got "
            f"{pseudo.shape} and {len(requests)}"
        )
    plain = BudgetPolicy.solve(predictions, candidates, budget_usd=budget_usd)
    share = requests / requests.mean()
    fold = group_folds(group_id, n_folds=n_folds)
    difference = np.zeros(len(pseudo))
    if not fold.any():  # one group: nothing to compare on
        return DirectPolicy(plain, 0.0, 0.0)
    for train, test in splits(fold):
        inside, outside = predictions.take(train), predictions.take(test)
        learned = _learn(inside, candidates, pseudo[train], budget_usd, share[train])
        same = BudgetPolicy.solve(inside, candidates, budget_usd=budget_usd)
        moved = learned.action_probs(outside, candidates) - same.action_probs(outside, candidates)
        cost_usd = candidates.cost_usd(outside.input_tokens, outside.output_tokens)
        utility = pseudo[test] - _price(plain) * cost_usd
        difference[test] = share[test] * np.sum(moved * utility, axis=1)
    gain, error, _ = cluster_mean(difference, group_id)
    z = gain / error if error > 0 else 0.0
    if z < MIN_Z:
        return DirectPolicy(plain, gain, z)
    return DirectPolicy(_learn(predictions, candidates, pseudo, budget_usd, share), gain, z)


def _learn(
    predictions: Predictions,
    candidates: CandidateTable,
    pseudo: FloatArray,
    budget_usd: float,
    share: FloatArray,
) -> BudgetPolicy:
    """Offsets and cost weight in turns."""
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    policy = BudgetPolicy.solve(predictions, candidates, budget_usd=budget_usd)
    offsets: FloatArray = np.zeros(len(candidates))
    for _ in range(_ROUNDS):
        price = _price(policy)
        offsets = _ascend(
            predictions.quality - price * cost_usd, pseudo - price * cost_usd, share, offsets
        )
        named = dict(zip(candidates.names, offsets.tolist(), strict=True))
        policy = BudgetPolicy.solve(predictions, candidates, budget_usd=budget_usd, offsets=named)
    return policy


def _ascend(
    score: FloatArray, utility: FloatArray, share: FloatArray, start: FloatArray
) -> FloatArray:
    """Maximise the penalised value of the softmax policy by L-BFGS; offsets, shape (K,)."""
    from scipy.optimize import minimize

    def loss(offsets: FloatArray) -> tuple[float, FloatArray]:
        probs = softmax((score + offsets) / TEMPERATURE, axis=1) * share[:, None]
        value = np.sum(probs * utility, axis=1) / share
        slope = np.mean(probs * (utility - value[:, None]), axis=0) / TEMPERATURE
        penalised = np.mean(share * value) - RIDGE * np.sum(offsets**2)
        return -float(penalised), 2.0 * RIDGE * offsets - slope

    found: FloatArray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def _price(policy: BudgetPolicy) -> float:
    """Quality per dollar at the budget: the mean of its two cost weights."""
    return policy.mix * policy.cost_weight_low + (1.0 - policy.mix) * policy.cost_weight_high
