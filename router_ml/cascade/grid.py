"""All orders and pairs of quantile thresholds of a cascade at once, by cumulative histograms."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray, IntArray

MAX_DEPTH: Final = 3
NEVER: Final = 2.0
"""A threshold that no estimate reaches; infinity is no JSON."""
_NEAREST: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """A cascade of the grid, arguments as ``CascadePolicy``'s."""

    order: tuple[int, ...]
    thresholds: tuple[float, ...]
    gains: tuple[float, ...]
    quality: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class _Stage:
    """State after the answers of a prefix.

    Parameters
    ----------
    best : shape (n,), estimate of the best answer
    quality : shape (n,), what that answer counts as worth
    edges : thresholds to try: accept all, inner quantiles, accept none
    bin : shape (n,), number of inner edges that ``best`` reaches
    """

    best: FloatArray
    quality: FloatArray
    edges: FloatArray
    bin: IntArray


class CascadeGrid:
    """Mean quality and cost of every order and pair of thresholds.

    Parameters
    ----------
    orders : candidate positions
    scores : gives the estimates, shape (n, m), of the answers of m members
    quality, cost_usd : shape (n, K)
    n_quantiles, shrink : see :func:`router_ml.cascade.policies.cascade.frontier`
    """

    def __init__(
        self,
        orders: Sequence[tuple[int, ...]],
        scores: Callable[[tuple[int, ...]], FloatArray],
        quality: FloatArray,
        cost_usd: FloatArray,
        n_quantiles: int,
        shrink: float,
    ) -> None:
        self.orders = orders
        self._scores = scores
        self._truth = quality
        self._shrink = shrink
        self._n_quantiles = n_quantiles
        self._stages: dict[tuple[int, ...], _Stage] = {}
        size = n_quantiles + 1
        self.quality = np.zeros((len(orders), size, size))
        self.cost_usd = np.zeros_like(self.quality)
        for o, order in enumerate(orders):
            chain = self._chain(order)
            spent = np.cumsum(cost_usd[:, order], axis=1).T
            cost = [spent[min(d, len(order) - 1)] for d in range(MAX_DEPTH)]
            bins = chain[0].bin * size + chain[1].bin
            self.quality[o] = _totals(bins, [stage.quality for stage in chain], size)
            self.cost_usd[o] = _totals(bins, cost, size)
        self.quality /= len(quality)
        self.cost_usd /= len(quality)

    def undominated(self) -> IntArray:
        """Flat positions of the Pareto front, cheapest first."""
        cost, quality = self.cost_usd.ravel(), self.quality.ravel()
        by_cost = np.lexsort((-quality, cost))
        best = np.maximum.accumulate(quality[by_cost])
        rises = np.r_[True, quality[by_cost][1:] > best[:-1] + 1e-12]
        return by_cost[rises]

    def near_front(self, keep: int) -> list[tuple[int, ...]]:
        """Orders that come nearest to the front, judged where each comes nearest."""
        cost, quality = self.cost_usd.ravel(), self.quality.ravel()
        front = self.undominated()
        best = quality[front][np.searchsorted(cost[front], self.cost_usd, side="right") - 1]
        lack = (best - self.quality).reshape(len(self.orders), -1)
        nearest = np.sort(lack, axis=1)[:, :_NEAREST].mean(axis=1)
        return [self.orders[o] for o in np.argsort(nearest, kind="stable")[:keep]]

    def at(self, flat: int) -> Found:
        """The cascade at a flat position."""
        o, i, j = (int(v) for v in np.unravel_index(flat, self.quality.shape))
        chain = self._chain(self.orders[o])
        limits = [float(chain[0].edges[i]), float(chain[1].edges[j])][: len(self.orders[o]) - 1]
        depth = 1 + sum(1 for _ in itertools.takewhile(lambda limit: limit > 0.0, limits))
        gains, on = [], np.ones(len(self._truth), dtype=bool)
        for d in range(depth - 1):
            on = on & (chain[d].best < limits[d])
            gained = (chain[d + 1].quality - chain[d].quality)[on]
            gains.append(float(gained.mean()) if len(gained) else 0.0)
        return Found(
            order=self.orders[o][:depth],
            thresholds=tuple(limits[: depth - 1]),
            gains=tuple(gains),
            quality=float(self.quality[o, i, j]),
            cost_usd=float(self.cost_usd[o, i, j]),
        )

    def _chain(self, order: tuple[int, ...]) -> list[_Stage]:
        """Stages of an order; a short one repeats its last, where nothing changes any more."""
        return [self._stage(order[: min(d + 1, len(order))]) for d in range(MAX_DEPTH)]

    def _stage(self, prefix: tuple[int, ...]) -> _Stage:
        members = tuple(sorted(prefix))
        if members not in self._stages:
            scores = self._scores(members)
            pick, rows = scores.argmax(axis=1), np.arange(len(scores))
            best = scores[rows, pick]
            levels = np.linspace(0.0, 1.0, self._n_quantiles + 1)[1:-1]
            edges = np.r_[0.0, np.quantile(best, levels), NEVER]
            worth = self._truth[rows, np.array(members)[pick]]
            noise = worth - best
            self._stages[members] = _Stage(
                best,
                worth - self._shrink * (noise - noise.mean()),
                edges,
                np.searchsorted(edges[1:-1], best, side="right"),
            )
        return self._stages[members]


def _totals(bins: IntArray, values: Sequence[FloatArray], size: int) -> FloatArray:
    r"""Sum of what is accepted, for every pair of threshold positions, shape (size, size).

    With bins :math:`b_1, b_2` and positions :math:`i, j`, accepted is the first answer where
    :math:`b_1 \ge i`, the second where :math:`b_1 < i, b_2 \ge j`, the third elsewhere: cumulative
    sums of two-dimensional histograms, instead of a loop over thresholds.
    """
    one, two, three = (
        np.bincount(bins, weights=v, minlength=size * size).reshape(size, size) for v in values
    )
    third = np.zeros((size + 1, size + 1))
    third[1:, 1:] = (three - two).cumsum(axis=0).cumsum(axis=1)
    second = np.r_[0.0, two.sum(axis=1).cumsum()]
    first = one.sum() - np.r_[0.0, one.sum(axis=1).cumsum()]
    out: FloatArray = (first + second)[:, None] + third
    return out[:size, :size]
