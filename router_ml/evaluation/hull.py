"""The hull of the constants: what a budget buys without looking at the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap_mean, simultaneous_means
from router_ml.types.arrays import FloatArray, IntArray

HULL_SHARES: Final = np.geomspace(0.03, 1.0, 20)
"""Budgets of :func:`hull_gain`, as shares of what the best constant costs."""


@dataclass(frozen=True, slots=True)
class Hull:
    """Constants that no mixture of others beats at their cost, the cheapest first.

    Parameters
    ----------
    vertices : positions of the candidates, shape (m,), by ascending cost
    n_candidates : K
    """

    vertices: IntArray
    n_candidates: int

    @classmethod
    def of(cls, quality: FloatArray, cost_usd: FloatArray) -> Self:
        """Of every candidate's mean quality and mean cost, shape (K,).

        Examples
        --------
        >>> Hull.of(np.array([0.5, 0.6, 0.9]), np.array([0.0, 1.0, 2.0])).vertices.tolist()
        [0, 2]
        """
        hull = Curve(cost_usd, quality).hull()
        found = [
            int(np.flatnonzero((cost_usd == c) & (quality == q))[0])
            for c, q in zip(hull.cost_usd, hull.quality, strict=True)
        ]
        return cls(np.array(found, dtype=np.int64), len(quality))

    def shares(self, cost_usd: FloatArray, spent: float) -> FloatArray:
        """Share of each constant in the mixture that costs ``spent``, shape (K,).

        Below the cheapest vertex it is that vertex, above the dearest the dearest.

        Parameters
        ----------
        cost_usd : mean costs on the queries in question, shape (K,)
        spent : mean dollars a request

        Examples
        --------
        >>> hull = Hull(np.array([0, 2]), 3)
        >>> hull.shares(np.array([0.0, 1.0, 2.0]), 0.5).tolist()
        [0.75, 0.0, 0.25]
        """
        shares = np.zeros(self.n_candidates)
        at = cost_usd[self.vertices]
        above = int(np.searchsorted(at, spent))
        if above in (0, len(at)) or not (np.diff(at) > 0).all():
            nearest = int(np.argmin(np.abs(at - spent)))
            shares[self.vertices[nearest]] = 1.0
            return shares
        dearer = (spent - at[above - 1]) / (at[above] - at[above - 1])
        shares[self.vertices[above - 1]] = 1.0 - dearer
        shares[self.vertices[above]] = dearer
        return shares

    def gain(self, action_probs: FloatArray, quality: FloatArray, cost_usd: FloatArray) -> Gain:
        """What a policy did beyond the mixture of vertices that costs the same on these rows.

        Parameters
        ----------
        action_probs, quality, cost_usd : shape (n, K); quality may be pseudo-outcomes
        """
        return self.beside(
            np.sum(action_probs * quality, axis=1),
            np.sum(action_probs * cost_usd, axis=1),
            quality,
            cost_usd,
        )

    def beside(
        self,
        played_quality: FloatArray,
        played_cost: FloatArray,
        quality: FloatArray,
        cost_usd: FloatArray,
    ) -> Gain:
        """The same of whatever was played, such as a cascade, shape (n,) each."""
        shares = self.shares(cost_usd.mean(axis=0), float(played_cost.mean()))
        return Gain(played_quality, played_cost, quality @ shares)


@dataclass(frozen=True, slots=True)
class Gain:
    """A policy beside the hull at equal mean cost, row by row, shape (n,).

    Parameters
    ----------
    quality, cost_usd : of the policy
    hull : quality of the mixture
    """

    quality: FloatArray
    cost_usd: FloatArray
    hull: FloatArray


def hull_mixture(quality: FloatArray, cost_usd: FloatArray, spend: float) -> FloatArray | None:
    """Shares of the constants whose mixture is the best at a mean cost, shape (K,).

    ``None`` where less is spent than the cheapest vertex costs.

    Parameters
    ----------
    quality, cost_usd : float arrays, shape (K,), means of the constants
    spend : mean dollars a request

    Examples
    --------
    >>> hull_mixture(np.array([0.5, 0.9]), np.array([1.0, 3.0]), 2.0)
    array([0.5, 0.5])
    """
    hull = Hull.of(quality, cost_usd)
    return None if spend < cost_usd[hull.vertices[0]] else hull.shares(cost_usd, spend)


def hull_gain(gains: FloatArray, groups: IntArray) -> dict[str, Estimate]:
    r"""Mean gain over budgets, and the least one with its simultaneous band.

    .. math:: \frac{1}{B} \sum_b \frac{1}{n} \sum_i (q_{ib} - h_{ib})

    with q a policy's quality and h the hull's at the same mean cost, both at budget b.

    Parameters
    ----------
    gains : q - h, shape (n, B)
    groups : int codes, shape (n,)

    Returns
    -------
    ``hull_gain`` and ``hull_gain_worst``: the least mean gain of a budget, with the interval it has
    in a 95 % band over all of them
    """
    every = simultaneous_means(gains, groups)
    return {
        "hull_gain": bootstrap_mean(gains.mean(axis=1), group_id=groups, n_resamples=1_000),
        "hull_gain_worst": min(every, key=lambda estimate: estimate.value),
    }
