"""FrugalGPT: a fixed order of candidates, and how good an answer must be to stop at each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.sequential import (
    ACCEPT,
    Score,
    SequentialPolicy,
    Step,
    best_answer,
    check_state,
)
from router_ml.types import BoolArray, FloatArray, IntArray

MAX_DEPTH: Final = 3
NEVER: Final = 2.0
"""A threshold that no estimate reaches; infinity is no JSON."""
_NEAREST: Final = 20


class CascadePolicy(SequentialPolicy):
    """Ask in order; accept the best answer so far once its estimate reaches the threshold.

    Build it by :meth:`search`. A candidate that failed is skipped; the threshold that counts is
    that of the number of answers given.

    Parameters
    ----------
    order : candidate positions, first asked first, at least one
    thresholds : one per escalation, ``len(order) - 1`` of them; above 1 always goes on
    gains : quality gained per escalation, on average where it was made; for information

    References
    ----------
    .. [1] Chen, Zaharia, Zou, "FrugalGPT", 2023.

    Examples
    --------
    >>> policy = CascadePolicy(order=(1, 0), thresholds=(0.8,))
    >>> prior = cost = np.full((3, 2), 0.5)
    >>> posterior = np.array([[np.nan, np.nan], [np.nan, 0.7], [np.nan, 0.9]])
    >>> policy.step(prior, cost, posterior).action
    array([ 1,  0, -1])
    """

    name: ClassVar[str] = "cascade"

    def __init__(
        self, *, order: Sequence[int], thresholds: Sequence[float], gains: Sequence[float] = ()
    ) -> None:
        if not order or len(set(order)) != len(order) or len(thresholds) != len(order) - 1:
            raise ConfigError(
                "a cascade needs an order of distinct candidates and one threshold fewer, got "
                f"{list(order)} and {list(thresholds)}"
            )
        self.order = tuple(int(k) for k in order)
        self.thresholds = tuple(float(t) for t in thresholds)
        self.gains = tuple(float(g) for g in gains) or (0.0,) * len(self.thresholds)

    @property
    def max_depth(self) -> int:  # type: ignore[override]
        """Most answers this cascade asks for."""
        return len(self.order)

    def step(
        self,
        prior: FloatArray,
        cost_usd: FloatArray,
        posterior: FloatArray,
        blocked: BoolArray | None = None,
    ) -> Step:
        """Accept, or the next of the order that can be asked."""
        left = check_state(prior, cost_usd, posterior, blocked)[:, self.order]
        answers = (~np.isnan(posterior)).sum(axis=1)
        bars = np.array([0.0, *self.thresholds])[np.minimum(answers, len(self.order) - 1)]
        enough = (answers > 0) & (best_answer(posterior)[1] >= bars)
        go = left.any(axis=1) & ~enough & (answers < len(self.order))
        action = np.where(go, np.array(self.order)[left.argmax(axis=1)], ACCEPT)
        gains = np.array([1.0, *self.gains])[np.minimum(answers, len(self.order) - 1)]
        gains = np.where(answers == 0, prior[np.arange(len(prior)), action], gains)
        cost = cost_usd[np.arange(len(prior)), action]
        return Step(action, np.where(go, gains, 0.0), np.where(go, cost, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments."""
        return {
            "name": self.name,
            "order": list(self.order),
            "thresholds": list(self.thresholds),
            "gains": list(self.gains),
        }

    @classmethod
    def search(
        cls,
        score: Score,
        quality: FloatArray,
        cost_usd: FloatArray,
        *,
        budget_usd: float | None = None,
        min_quality: float | None = None,
        max_depth: int = MAX_DEPTH,
        n_quantiles: int = 30,
        keep: int = 20,
        shrink: float = 0.5,
    ) -> CascadePolicy:
        """Most quality within a budget, or least cost at a quality floor.

        Parameters
        ----------
        score : estimates of answers the scorer was *not* fitted on
        quality, cost_usd : shape (n, K), what each answer was worth and cost
        budget_usd : mean dollars a request
        min_quality : mean quality; exactly one of the two is given
        max_depth, n_quantiles, keep, shrink : see :func:`frontier`

        Raises
        ------
        ConfigError
            If not exactly one target is given, or nothing meets it.
        """
        if (budget_usd is None) == (min_quality is None):
            raise ConfigError("give exactly one of budget_usd and min_quality")
        points = frontier(
            score,
            quality,
            cost_usd,
            max_depth=max_depth,
            n_quantiles=n_quantiles,
            keep=keep,
            shrink=shrink,
        )
        return choose(points, budget_usd=budget_usd, min_quality=min_quality).policy


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """A cascade with its mean quality and mean dollars on the data it was searched on."""

    policy: CascadePolicy
    quality: float
    cost_usd: float


def choose(
    points: Sequence[CascadePoint],
    *,
    budget_usd: float | None = None,
    min_quality: float | None = None,
) -> CascadePoint:
    """Point of a frontier: best within the budget, or cheapest that reaches the floor."""
    if budget_usd is not None:
        fit = [p for p in points if p.cost_usd <= budget_usd]
        if fit:
            return max(fit, key=lambda p: (p.quality, -p.cost_usd))
        least = min(p.cost_usd for p in points)
        raise ConfigError(f"budget_usd must be at least {least:.6g}, got {budget_usd:.6g}")
    fit = [p for p in points if p.quality >= (min_quality or 0.0)]
    if fit:
        return min(fit, key=lambda p: (p.cost_usd, -p.quality))
    best = max(p.quality for p in points)
    raise ConfigError(f"min_quality can be at most {best:.4f} here, got {min_quality}")


def frontier(
    score: Score,
    quality: FloatArray,
    cost_usd: FloatArray,
    *,
    max_depth: int = MAX_DEPTH,
    n_quantiles: int = 30,
    keep: int = 20,
    shrink: float = 0.5,
) -> list[CascadePoint]:
    """Every undominated (cost, quality) over orders and quantile thresholds, cheapest first.

    Two passes. First all orders, with each answer scored on its own: K columns of scores. Then the
    orders that reach the frontier, at most ``keep`` of them, with each answer scored given those
    before it, and their thresholds found again on these scores.

    Picking the best of a million cascades picks luck as well. What an answer counts as worth is
    therefore drawn towards its estimate, by ``shrink``; the mean of each stage stays that of the
    labels.

    Parameters
    ----------
    score : estimates of answers the scorer was *not* fitted on
    quality, cost_usd : shape (n, K), finite
    max_depth : longest order, 1 to 3
    n_quantiles : thresholds tried per escalation; every pair of them is tried
    keep : orders of the second pass
    shrink : 0 takes labels as they are, 1 the estimates; in [0, 1]
    """
    n, k = quality.shape
    if not 1 <= max_depth <= MAX_DEPTH or quality.shape != cost_usd.shape:
        raise ConfigError(f"max_depth must be in [1, {MAX_DEPTH}] and shapes equal")
    if not 0.0 <= shrink <= 1.0:
        raise ConfigError(f"shrink must be in [0, 1], got {shrink}")
    rows = np.arange(n)
    own = np.full((n, k), np.nan)
    for j in range(k):
        own[:, j] = score(rows, np.broadcast_to(np.eye(k, dtype=bool)[j], (n, k)))[:, j]

    def alone(members: tuple[int, ...]) -> FloatArray:
        return own[:, members]

    def together(members: tuple[int, ...]) -> FloatArray:
        asked = np.zeros((n, k), dtype=bool)
        asked[:, members] = True
        return score(rows, asked)[:, members]

    orders = list(itertools.permutations(range(k), min(max_depth, k)))
    kept = _Grid(orders, alone, quality, cost_usd, n_quantiles, shrink).near_front(keep)
    grid = _Grid(kept, together, quality, cost_usd, n_quantiles, shrink)
    return [grid.point(flat) for flat in grid.undominated().tolist()]


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


class _Grid:
    """Mean quality and cost of every order and pair of thresholds.

    Parameters
    ----------
    orders : candidate positions
    scores : gives the estimates, shape (n, m), of the answers of m members
    quality, cost_usd : shape (n, K)
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

    def point(self, flat: int) -> CascadePoint:
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
        policy = CascadePolicy(
            order=self.orders[o][:depth], thresholds=limits[: depth - 1], gains=gains
        )
        return CascadePoint(policy, float(self.quality[o, i, j]), float(self.cost_usd[o, i, j]))

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
