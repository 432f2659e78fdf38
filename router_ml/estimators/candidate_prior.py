"""What a candidate without labels is believed to be: a draw among its likes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable

MIN_NOISE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Likeness:
    r"""How much a catalogue tells of a candidate.

    .. math:: \pi_{\nu k} \propto \exp\Bigl(-\frac{(\log p_\nu - \log p_k)^2}{2 h^2}\Bigr)
              \cdot r^{[\text{same provider}]}

    Parameters
    ----------
    price_scale : h, in natural logarithms of the price; infinite = prices say nothing
    provider_ratio : r, >= 1; 1 = providers say nothing
    stray : standard deviation of a level beyond every mixture
    own : how far weights stray from a draw among its likes, variance as a share of 1 / K
    """

    price_scale: float = 1.5
    provider_ratio: float = 2.0
    stray: float = 0.05
    own: float = 0.1


GRID: Final = tuple(
    Likeness(*values)
    for values in itertools.product(
        (0.5, 1.0, 2.0, np.inf), (1.0, 3.0), (0.02, 0.05, 0.1), (0.02, 0.1, 0.5)
    )
)


@dataclass(frozen=True, slots=True)
class CandidatePrior:
    """Gaussian prior of K weights and a level; arrays of shape (K + 1,) and (K + 1, K + 1)."""

    mean: FloatArray
    cov: FloatArray

    @classmethod
    def of(cls, shares: FloatArray, likeness: Likeness) -> CandidatePrior:
        """Mean and covariance of a draw among K candidates, and room around it."""
        k = len(shares)
        cov = np.zeros((k + 1, k + 1))
        cov[:k, :k] = np.diag(shares) - np.outer(shares, shares) + likeness.own / k * np.eye(k)
        cov[k, k] = likeness.stray**2
        return cls(np.append(shares, 0.0), cov)

    def believing(self, known: FloatArray, quality: float, std: float) -> CandidatePrior:
        """The same, told the newcomer's mean quality with a standard error.

        Parameters
        ----------
        known : mean quality of each of the K candidates, shape (K,)
        """
        x = np.append(known, 1.0)
        gain = self.cov @ x / (x @ self.cov @ x + std**2)
        return CandidatePrior(
            self.mean + gain * (quality - x @ self.mean), self.cov - np.outer(gain, x @ self.cov)
        )


@dataclass(frozen=True, slots=True)
class Mixture:
    """A newcomer's weights and level, shape (K + 1,), with their covariance."""

    mean: FloatArray
    cov: FloatArray

    @classmethod
    def fit(
        cls, prior: CandidatePrior, known: FloatArray, y: FloatArray, weight: FloatArray
    ) -> Mixture:
        """Posterior given labels.

        Parameters
        ----------
        known : established candidates' predictions of the labelled queries, shape (m, K); made
            without these queries' labels
        y, weight : shape (m,); a weight of two is two labels
        """
        if not len(y):
            return cls(prior.mean, prior.cov)
        X = np.column_stack([known, np.ones(len(y))])
        noise = label_noise(y, weight)
        return cls(*_posterior(prior, (X * weight[:, None]).T @ X, X.T @ (weight * y), noise))

    def predict(self, known: FloatArray) -> FloatArray:
        """Quality, not clipped, shape (n,)."""
        quality: FloatArray = known @ self.mean[:-1] + self.mean[-1]
        return quality

    def std(self, known: FloatArray) -> float:
        """Standard error of the mean quality over queries."""
        x = np.append(known.mean(axis=0), 1.0)
        return float(np.sqrt(max(x @ self.cov @ x, 0.0)))


def label_noise(y: FloatArray, weight: FloatArray) -> float:
    """Variance of a label about its mean, at least 0.02: few labels that agree are no proof."""
    center = (float((weight * y).sum()) + 1.0) / (float(weight.sum()) + 2.0)
    return max(center * (1.0 - center), MIN_NOISE)


def likeness_shares(
    candidates: CandidateTable, new: int, known: Sequence[int], likeness: Likeness
) -> FloatArray:
    """Probabilities with which a newcomer is like each of the known candidates, shape (K,)."""
    price = (3.0 * candidates.input_usd_per_mtok + candidates.output_usd_per_mtok) / 4.0
    price = price[[*known, new]]
    apart = np.log(np.maximum(price[:-1], 1e-6)) - np.log(max(price[-1], 1e-6))
    logit = -0.5 * (apart / likeness.price_scale) ** 2
    provider = candidates.provider
    same = np.array([bool(provider[new]) and provider[k] == provider[new] for k in known])
    logit = logit + np.log(likeness.provider_ratio) * same
    shares = np.exp(logit - logit.max())
    normal: FloatArray = shares / shares.sum()
    return normal


def fit_likeness(
    candidates: CandidateTable, predicted: FloatArray, Y: FloatArray, weight: FloatArray
) -> Likeness:
    """The likeness by which every candidate is best foretold from the others.

    Parameters
    ----------
    candidates : K established ones
    predicted, Y, weight : shape (n, K); predictions out of fold, weight zero where unknown
    """
    k = len(candidates)
    if k < 3:
        return Likeness()
    y = np.where(weight > 0, Y, 0.0)
    tasks = []
    for j in range(k):
        others = [i for i in range(k) if i != j]
        X = np.column_stack([predicted[:, others], np.ones(len(Y))])
        w = weight[:, j]
        tasks.append(
            (j, others, (X * w[:, None]).T @ X, X.T @ (w * y[:, j]), label_noise(y[:, j], w))
        )
    best, most = Likeness(), -np.inf
    for likeness in GRID:
        score = 0.0
        for j, others, gram, moment, noise in tasks:
            prior = CandidatePrior.of(likeness_shares(candidates, j, others, likeness), likeness)
            score += _log_evidence(prior, gram, moment, noise)
        if score > most:
            best, most = likeness, score
    return best


def _posterior(
    prior: CandidatePrior, gram: FloatArray, moment: FloatArray, noise: float
) -> tuple[FloatArray, FloatArray]:
    precision = np.linalg.inv(prior.cov)
    cov = np.linalg.inv(precision + gram / noise)
    return cov @ (precision @ prior.mean + moment / noise), cov


def _log_evidence(
    prior: CandidatePrior, gram: FloatArray, moment: FloatArray, noise: float
) -> float:
    """Log marginal likelihood of the labels, up to what no prior changes."""
    mean, cov = _posterior(prior, gram, moment, noise)
    precision = np.linalg.inv(prior.cov)
    log_det = np.linalg.slogdet(cov)[1] - np.linalg.slogdet(prior.cov)[1]
    left = prior.mean @ precision @ prior.mean - mean @ (precision + gram / noise) @ mean
    return float(0.5 * (log_det - left))
