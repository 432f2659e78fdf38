"""The search for a fixed order and its thresholds, on answers that are all known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router_ml.cascade.grid import MAX_DEPTH, CascadeGrid
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.policies.sequential import Score
from router_ml.errors import ConfigError
from router_ml.types.arrays import FloatArray


def search_cascade(
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
    kept = CascadeGrid(orders, alone, quality, cost_usd, n_quantiles, shrink).near_front(keep)
    grid = CascadeGrid(kept, together, quality, cost_usd, n_quantiles, shrink)
    return [
        CascadePoint(
            CascadePolicy(order=found.order, thresholds=found.thresholds, gains=found.gains),
            found.quality,
            found.cost_usd,
        )
        for found in map(grid.at, grid.undominated().tolist())
    ]
