"""What cascade routing learns from scored answers: how far each candidate comes out ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.policies.leads import EPSILON, gaussian_draws, lead_inputs, spread_of
from router_ml.cascade.policies.sequential import Score, best_answer
from router_ml.types.arrays import BoolArray, FloatArray

_RIDGE: Final = 1.0


def fit_cascade_routing(
    score: Score,
    prior: FloatArray,
    cost_usd: FloatArray,
    *,
    cost_weight: float = 0.0,
    max_depth: int = 5,
    lookahead: int = 2,
) -> CascadeRoutingPolicy:
    """Learn leads; :func:`router_ml.cascade.evaluation.solve` finds the cost weight.

    Leads are learned in a few states that cascades pass through: after the answer of each
    undominated candidate, and after the cheapest of these with one of four partners, the two
    cheapest and the two of the largest lead.

    Parameters
    ----------
    score : estimates of answers the scorer was *not* fitted on
    prior : shape (n, K), out-of-fold quality predictions
    cost_usd : shape (n, K), expected dollars
    """
    n, k = prior.shape
    own = np.column_stack([score(np.arange(n), asked_of(n, k, j))[:, j] for j in range(k)])
    p = np.clip(prior, EPSILON, 1 - EPSILON)
    z = (own - p) / np.sqrt(p * (1 - p))
    shares = np.minimum((z**2).mean(axis=0), 1.0)
    mean_cost, mean_prior = cost_usd.mean(axis=0), prior.mean(axis=0)
    order = np.argsort(mean_cost, kind="stable")
    before = np.r_[-np.inf, np.maximum.accumulate(mean_prior[order])[:-1]]
    anchors = order[mean_prior[order] > before].tolist()
    states = [lead_state(score, prior, (anchor,)) for anchor in anchors]
    if k > 2 and max_depth > 2:
        first = anchors[0]
        reach = np.maximum(np.nan_to_num(states[0].lead, nan=-1.0), 0.0).mean(axis=0)
        cheap = [j for j in order.tolist() if j != first][:2]
        strong = [j for j in np.argsort(-reach).tolist() if j != first][:2]
        states += [lead_state(score, prior, (first, j)) for j in dict.fromkeys(cheap + strong)]
    coef, omega = fit_leads(states, k)
    return CascadeRoutingPolicy(
        cost_weight=cost_weight,
        start_covariance=correlation_of(z.T @ z) * np.sqrt(np.outer(shares, shares)),
        lead_coef=coef,
        lead_covariance=omega,
        max_depth=max_depth,
        lookahead=lookahead,
    )


@dataclass(frozen=True, slots=True)
class LeadState:
    """What happens after the answers of some candidates, for n queries.

    Parameters
    ----------
    inputs : shape (n, K, 5), see :func:`lead_inputs`
    lead : shape (n, K), how far each further answer came to stand above the best so far; NaN for
        those that had answered
    spread : shape (n,)
    """

    inputs: FloatArray
    lead: FloatArray
    spread: FloatArray


def lead_state(score: Score, prior: FloatArray, members: tuple[int, ...]) -> LeadState:
    """Ask the scorer for every further answer after those of ``members``."""
    n, k = prior.shape
    rows = np.arange(n)
    posterior = score(rows, asked_of(n, k, *members))
    position, best = best_answer(posterior)
    lead = np.full((n, k), np.nan)
    for j in range(k):
        if j not in members:
            after = score(rows, asked_of(n, k, *members, j))
            others = after[:, list(members)].max(axis=1)
            lead[:, j] = after[:, j] - others
    return LeadState(lead_inputs(prior, position, best), lead, spread_of(best))


def fit_leads(states: Sequence[LeadState], k: int) -> tuple[FloatArray, FloatArray]:
    r"""Coefficients of the expected lead, shape (K, 5), and covariance of what is left.

    Surprises are skewed: an answer that is nearly surely right can only lose its lead. Variances
    would therefore promise too much; the scale of candidate k is the :math:`s` at which the mean of
    :math:`E[\max(0, m + s \sqrt{v} Z)]` meets the mean of :math:`\max(0, A_k)`, by bisection.
    """
    inputs = np.concatenate([state.inputs for state in states])
    lead = np.concatenate([state.lead for state in states])
    spread = np.concatenate([state.spread for state in states])
    known = np.isfinite(lead)
    coef, scale = np.zeros((k, inputs.shape[2])), np.zeros(k)
    surprise = np.zeros(lead.shape)
    for j in range(k):
        rows = known[:, j]
        x, y = inputs[rows, j], lead[rows, j]
        if not len(y):
            continue
        coef[j] = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
        mean = x @ coef[j]
        surprise[rows, j] = np.clip((y - mean) / spread[rows], -3.0, 3.0)
        scale[j] = _scale(mean, spread[rows], float(np.maximum(y, 0.0).mean()))
    pairs = known.astype(float).T @ known
    moments = np.divide(surprise.T @ surprise, pairs, out=np.zeros((k, k)), where=pairs > 0)
    return coef, correlation_of(moments) * np.outer(scale, scale)


def _scale(mean: FloatArray, spread: FloatArray, target: float) -> float:
    normal = gaussian_draws(np.eye(1), 64)[:, 0]
    low, high = 0.0, 8.0
    for _ in range(30):
        middle = (low + high) / 2
        gained = np.maximum(mean[:, None] + middle * spread[:, None] * normal, 0.0).mean()
        if gained > target:
            high = middle
        else:
            low = middle
    return high


def correlation_of(moments: FloatArray) -> FloatArray:
    """Correlation matrix of second moments, shape (K, K)."""
    root = np.sqrt(np.diag(moments))
    root = np.where(root > 0, root, 1.0)
    correlation: FloatArray = moments / np.outer(root, root)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def asked_of(n: int, k: int, *members: int) -> BoolArray:
    """The same members asked for n queries, bool, shape (n, K)."""
    asked = np.zeros((n, k), dtype=bool)
    asked[:, members] = True
    return asked
