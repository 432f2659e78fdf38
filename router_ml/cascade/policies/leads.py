"""How far a further answer comes to stand above the best so far, learned from scored answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.cascade.policies.sequential import Score, best_answer
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

EPSILON: Final = 1e-3
N_INPUTS: Final = 5
_RIDGE: Final = 1.0


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


def lead_inputs(prior: FloatArray, position: IntArray, best: FloatArray) -> FloatArray:
    """What a lead is expected from, shape (n, K, 5): best estimate, its square, and priors."""
    mine = prior[np.arange(len(prior)), position]
    shared = np.stack([np.ones_like(best), best, best**2, mine], axis=1)
    wide = np.broadcast_to(shared[:, None, :], (*prior.shape, 4))
    return np.concatenate([wide, prior[:, :, None]], axis=2)


def spread_of(best: FloatArray) -> FloatArray:
    """Standard deviation of a right-or-wrong answer of this estimate, shape (n,)."""
    b = np.clip(best, EPSILON, 1 - EPSILON)
    spread: FloatArray = np.sqrt(b * (1 - b))
    return spread


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


def gaussian_draws(covariance: FloatArray, n_draws: int) -> FloatArray:
    """Antithetic Gaussian draws, shape (n_draws, K), the same in every process."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = np.random.default_rng(0).standard_normal((n_draws // 2, len(covariance)))
    half /= np.sqrt((half**2).mean(axis=0))
    draws: FloatArray = np.concatenate([half, -half]) @ root.T
    return draws
