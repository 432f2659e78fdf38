"""Cost–quality curves: hull, zero router, and what one dollar or one point buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a router at several operating points, by ascending cost.

    Parameters
    ----------
    cost_usd, quality : float arrays, shape (n_points,), finite; sorted on construction
    """

    cost_usd: FloatArray
    quality: FloatArray

    def __post_init__(self) -> None:
        if len(self.cost_usd) != len(self.quality) or len(self.cost_usd) == 0:
            raise SchemaError(
                "a curve needs as many costs as qualities and at least one, got "
                f"{len(self.cost_usd)} and {len(self.quality)}"
            )
        if not (np.isfinite(self.cost_usd).all() and np.isfinite(self.quality).all()):
            raise SchemaError("costs and qualities of a curve must be finite")
        order = np.lexsort((self.quality, self.cost_usd))
        object.__setattr__(self, "cost_usd", np.asarray(self.cost_usd, dtype=float)[order])
        object.__setattr__(self, "quality", np.asarray(self.quality, dtype=float)[order])

    def __len__(self) -> int:
        return len(self.cost_usd)

    def hull(self) -> Curve:
        """Upper, non-decreasing convex hull: what randomising between operating points reaches.

        Examples
        --------
        >>> Curve(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.5, 0.9, 0.8])).hull().cost_usd
        array([1., 3.])
        """
        keep: list[int] = []
        for i in range(len(self)):
            if keep and self.quality[i] <= self.quality[keep].max():
                continue
            while keep and self.cost_usd[i] == self.cost_usd[keep[-1]]:
                keep.pop()
            while len(keep) >= 2 and self._turns_up(keep[-2], keep[-1], i):
                keep.pop()
            keep.append(i)
        return Curve(self.cost_usd[keep], self.quality[keep])

    def _turns_up(self, a: int, b: int, c: int) -> bool:
        """Whether point b lies on or below the segment from a to c."""
        left = (self.quality[b] - self.quality[a]) * (self.cost_usd[c] - self.cost_usd[a])
        right = (self.quality[c] - self.quality[a]) * (self.cost_usd[b] - self.cost_usd[a])
        return bool(left <= right)

    def quality_at_cost(self, cost_usd: float) -> float:
        """Quality on the hull at a mean cost; NaN below the cheapest point, flat above the best.

        Examples
        --------
        >>> Curve(np.array([0.0, 2.0]), np.array([0.5, 0.9])).quality_at_cost(1.0)
        0.7
        """
        hull = self.hull()
        return float(np.interp(cost_usd, hull.cost_usd, hull.quality, left=np.nan))

    def cost_at_quality(self, quality: float) -> float:
        """Mean cost on the hull that reaches a quality; NaN above the best.

        Examples
        --------
        >>> Curve(np.array([0.0, 2.0]), np.array([0.5, 0.9])).cost_at_quality(0.7)
        1.0
        """
        hull = self.hull()
        return float(np.interp(quality, hull.quality, hull.cost_usd, right=np.nan).round(15))

    def quality_up_to(self, cost_usd: float) -> float:
        """Quality on the hull at a mean cost; below the cheapest point, the cheapest's."""
        hull = self.hull()
        return float(np.interp(cost_usd, hull.cost_usd, hull.quality))

    def aiq(self, end: float) -> float:
        r"""Average improvement in quality: area under the non-decreasing hull up to a cost.

        .. math:: \mathrm{AIQ} = \frac{1}{c_{\max}} \int_{c_{\min}}^{c_{\max}} h(c)\,dc

        Parameters
        ----------
        end : :math:`c_{\max}`, dollars, at least the hull's last point; the hull is continued
            flat to there. Only AIQs up to one cost compare.

        References
        ----------
        .. [1] Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", 2024.

        Examples
        --------
        >>> Curve(np.array([0.0, 2.0]), np.array([0.5, 0.9])).aiq(4.0)
        0.8
        """
        hull = self.hull()
        area = np.trapezoid([*hull.quality, hull.quality[-1]], [*hull.cost_usd, end])
        return float(area / end) if end > 0 else float("nan")


def zero_router(cost_usd: FloatArray, quality: FloatArray) -> Curve:
    """Hull of the constants (RouterBench): what one gets without looking at the query.

    Parameters
    ----------
    cost_usd, quality : float arrays, shape (n, K), full information
    """
    return Curve(np.mean(cost_usd, axis=0), np.mean(quality, axis=0)).hull()
