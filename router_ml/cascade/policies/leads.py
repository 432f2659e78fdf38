"""What is expected of a further answer: how far it comes to stand above the best so far."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray, IntArray

EPSILON: Final = 1e-3
N_INPUTS: Final = 5


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


def gaussian_draws(covariance: FloatArray, n_draws: int) -> FloatArray:
    """Antithetic Gaussian draws, shape (n_draws, K), the same in every process."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = np.random.default_rng(0).standard_normal((n_draws // 2, len(covariance)))
    half /= np.sqrt((half**2).mean(axis=0))
    draws: FloatArray = np.concatenate([half, -half]) @ root.T
    return draws
