"""Figures people would put in a slide; each function returns one and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from router_ml.evaluation.calibration import Reliability
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate

INK: Final = "#1f2933"
MUTED: Final = "#8a94a0"
ROUTER: Final = "#0b6e99"
BASELINE: Final = "#c0562f"
ORACLE: Final = "#5b8c3e"
DOTS_PER_INCH: Final = 150
THOUSAND: Final = 1000.0

Points = Mapping[str, tuple[Estimate, Estimate]]
"""Name to (quality, cost_usd)."""


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    return path


def cost_quality(
    constants: Points,
    router: Sequence[tuple[Estimate, Estimate]],
    *,
    zero_router: Curve,
    oracle: tuple[Estimate, Estimate] | None = None,
    title: str = "Quality against cost",
) -> Figure:
    """Router at several operating points against every constant, their hull and the oracle.

    Parameters
    ----------
    constants : (quality, cost_usd) by candidate
    router : (quality, cost_usd) of each operating point
    zero_router : hull of the constants
    oracle : (quality, cost_usd), optional
    """
    figure = Figure(figsize=(8.0, 5.0))
    axes = figure.add_subplot()
    cost = [c.value * THOUSAND for _, c in constants.values()]
    axes.scatter(cost, [q.value for q, _ in constants.values()], s=26, color=MUTED, zorder=3)
    for name, (q, c) in constants.items():
        axes.annotate(
            name,
            (c.value * THOUSAND, q.value),
            xytext=(5, -3),
            textcoords="offset points",
            fontsize=7,
            color=MUTED,
        )
    # Mixing two constants is a straight line in dollars, so a curve on the log axis.
    spend = np.geomspace(zero_router.hull().cost_usd[0], max(cost) / THOUSAND, 200)
    axes.plot(
        spend * THOUSAND,
        [zero_router.quality_at_cost(usd) for usd in spend],
        color=BASELINE,
        linewidth=1.2,
        linestyle="--",
        label="zero router (hull of constants)",
    )
    points = sorted(router, key=lambda point: point[1].value)
    x = np.array([c.value for _, c in points]) * THOUSAND
    axes.fill_between(
        x, [q.low for q, _ in points], [q.high for q, _ in points], color=ROUTER, alpha=0.15
    )
    axes.plot(x, [q.value for q, _ in points], "o-", color=ROUTER, markersize=4, label="router")
    if oracle is not None:
        q, c = oracle
        axes.scatter([c.value * THOUSAND], [q.value], marker="*", s=140, color=ORACLE, zorder=4)
        axes.annotate(
            "oracle",
            (c.value * THOUSAND, q.value),
            xytext=(7, -3),
            textcoords="offset points",
            fontsize=8,
            color=ORACLE,
        )
    axes.set_xscale("log")
    axes.set_xlabel("mean cost, US dollars per 1,000 requests (log scale)")
    axes.set_ylabel("mean quality")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    _finish(axes, title)
    return figure


def reliability_diagram(curves: Mapping[str, Reliability], *, title: str = "Reliability") -> Figure:
    """Observed quality against predicted, one line a candidate; the diagonal is perfect."""
    figure = Figure(figsize=(5.0, 5.0))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    for name, curve in curves.items():
        axes.plot(curve.predicted, curve.observed, "o-", markersize=3, linewidth=1, label=name)
    axes.set_xlabel("predicted quality")
    axes.set_ylabel("observed quality")
    axes.legend(frameon=False, fontsize=7)
    _finish(axes, title)
    return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
