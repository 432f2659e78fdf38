"""Figures people would put in a slide; each function returns one and shows nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

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
TODAY: Final = "#8a2f8f"
DOTS_PER_INCH: Final = 150
DOTS_PER_POINT: Final = 1.0 / 72.0
LABEL_SIZE: Final = 7.0
THOUSAND: Final = 1000.0

Points = Mapping[str, tuple[Estimate, Estimate]]
"""Name to (quality, cost_usd)."""


class Shown(Figure):
    """A figure that a notebook shows, whatever its backend."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=DOTS_PER_INCH / 1.5)
        return stream.getvalue()


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    return path


def svg(figure: Figure) -> str:
    """A figure as SVG text that scales with the page it stands in."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = out.getvalue()
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text[text.index("<svg") :])


def cost_quality_of(summary: Mapping[str, Any]) -> Figure:
    """:func:`cost_quality` of what an evaluation wrote."""
    policies: Mapping[str, Mapping[str, Any]] = summary["policies"]

    def at(name: str) -> tuple[Estimate, Estimate]:
        found = policies[name]
        quality = found["quality" if "quality" in found else "quality_dr"]
        return Estimate(**quality), Estimate(
            **found["cost_usd" if "cost_usd" in found else "cost_usd_dr"]
        )

    points = summary["points"]
    hull = np.array(points["hull"], dtype=float)
    return cost_quality(
        {name: at(name) for name in (*summary["candidates"], "today") if name in policies},
        [(Estimate(**p["quality"]), Estimate(**p["cost_usd"])) for p in points["router"]],
        zero_router=Curve(hull[:, 0], hull[:, 1]) if len(hull) else None,
        oracle=at("oracle") if "oracle" in policies else None,
    )


def reliability_of(summary: Mapping[str, Any]) -> Figure:
    """:func:`reliability_diagram` of what an evaluation wrote."""
    return reliability_diagram(
        {
            name: Reliability(*(np.array(part) for part in found.values()))
            for name, found in summary["reliability"].items()
        }
    )


def cost_quality(
    constants: Points,
    router: Sequence[tuple[Estimate, Estimate]],
    *,
    zero_router: Curve | None,
    oracle: tuple[Estimate, Estimate] | None = None,
    title: str = "Quality against cost",
) -> Figure:
    """Router at several operating points against every constant, their hull and the oracle.

    Parameters
    ----------
    constants : (quality, cost_usd) by candidate; ``today`` among them stands out
    router : (quality, cost_usd) of each operating point
    zero_router : hull of the constants, where one is known
    oracle : (quality, cost_usd), optional
    """
    figure = Figure(figsize=(8.0, 5.0))
    axes = figure.add_subplot()
    cost = [c.value * THOUSAND for _, c in constants.values()]
    for name, (q, c) in constants.items():
        _cross(axes, q, c, color=TODAY if name == "today" else MUTED)
    if zero_router is not None:
        _hull(axes, zero_router, max(cost) / THOUSAND)
    points = sorted(router, key=lambda point: point[1].value)
    x = np.array([c.value for _, c in points]) * THOUSAND
    axes.fill_between(
        x, [q.low for q, _ in points], [q.high for q, _ in points], color=ROUTER, alpha=0.15
    )
    axes.plot(x, [q.value for q, _ in points], "o-", color=ROUTER, markersize=4, label="router")
    labels = [(name, c.value * THOUSAND, q.value) for name, (q, c) in constants.items()]
    if oracle is not None:
        q, c = oracle
        axes.scatter([c.value * THOUSAND], [q.value], marker="*", s=140, color=ORACLE, zorder=4)
        labels.append(("oracle", c.value * THOUSAND, q.value))
    if all(value > 0 for value in cost):
        axes.set_xscale("log")
    axes.set_xlabel("mean cost, US dollars per 1,000 requests (log scale)")
    axes.set_ylabel("mean quality")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    _finish(axes, title)
    _label_apart(axes, labels, {"oracle": ORACLE, "today": TODAY})
    return figure


def contest(
    points: Points,
    routers: Mapping[str, Sequence[tuple[Estimate, Estimate]]],
    *,
    zero_router: Curve,
    baseline: str,
    oracle: tuple[Estimate, Estimate] | None = None,
    title: str = "Quality against cost, on prompts not learned from",
) -> Figure:
    """Several routers at every budget, against constants, their hull and a baseline.

    Parameters
    ----------
    points : (quality, cost_usd) of constants, and of ``today``
    routers : (quality, cost_usd) of each operating point, by router
    zero_router : hull of the constants
    baseline : of ``points``, drawn through the figure
    oracle : (quality, cost_usd), optional
    """
    figure = Shown(figsize=(8.0, 5.0), layout="tight")
    axes = figure.add_subplot()
    for name, (q, c) in points.items():
        _cross(axes, q, c, color=TODAY if name == "today" else MUTED)
    cost = [c.value for _, c in points.values()]
    if zero_router.hull().cost_usd[0] > 0.0:
        axes.set_xscale("log")
    _hull(axes, zero_router, max(cost))
    for colour, (name, found) in zip(_cycle(len(routers)), routers.items(), strict=True):
        line = sorted(found, key=lambda point: point[1].value)
        x = np.array([c.value for _, c in line]) * THOUSAND
        axes.fill_between(
            x, [q.low for q, _ in line], [q.high for q, _ in line], color=colour, alpha=0.12, lw=0
        )
        axes.plot(x, [q.value for q, _ in line], "o-", color=colour, ms=3, lw=1.4, label=name)
    quality, price = points[baseline]
    for draw, at in ((axes.axhline, quality.value), (axes.axvline, price.value * THOUSAND)):
        draw(at, color=TODAY if baseline == "today" else INK, lw=0.7, ls=":")
    labels = [(name, c.value * THOUSAND, q.value) for name, (q, c) in points.items()]
    if oracle is not None:
        q, c = oracle
        axes.scatter([c.value * THOUSAND], [q.value], marker="*", s=140, color=ORACLE, zorder=4)
        labels.append(("oracle", c.value * THOUSAND, q.value))
    axes.set_xlabel("mean cost, US dollars per 1,000 requests")
    axes.set_ylabel("mean quality")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    _finish(axes, title)
    _label_apart(axes, labels, {"oracle": ORACLE, "today": TODAY})
    return figure


def _cycle(n: int) -> list[str]:
    """Colours of n lines, told apart also by who sees few of them (Okabe and Ito)."""
    palette = (ROUTER, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
    return [palette[i % len(palette)] for i in range(n)]


def _hull(axes: Axes, zero_router: Curve, until_usd: float) -> None:
    """Mixing two constants is a straight line in dollars, so a curve on the log axis."""
    start = float(zero_router.hull().cost_usd[0])
    spend = (np.geomspace if start > 0 else np.linspace)(start, until_usd, 200)
    axes.plot(
        spend * THOUSAND,
        [zero_router.quality_at_cost(usd) for usd in spend],
        color=BASELINE,
        linewidth=1.2,
        linestyle="--",
        label="hull of constants",
    )


def _cross(axes: Axes, quality: Estimate, cost_usd: Estimate, *, color: str) -> None:
    """A point with its intervals."""
    x, y = cost_usd.value * THOUSAND, quality.value
    axes.errorbar(
        [x],
        [y],
        xerr=[[x - cost_usd.low * THOUSAND], [cost_usd.high * THOUSAND - x]],
        yerr=[[y - quality.low], [quality.high - y]],
        fmt="o",
        markersize=5,
        color=color,
        elinewidth=0.8,
        alpha=0.9,
        zorder=3,
    )


def _label_apart(
    axes: Axes, labels: Sequence[tuple[str, float, float]], colors: Mapping[str, str]
) -> None:
    """Names beside their points, moved up where they would lie on one another."""
    scale = DOTS_PER_POINT * axes.figure.dpi
    at = axes.transData.transform([(x, y) for _, x, y in labels]) / scale  # typographic points
    placed: list[tuple[float, float, float]] = []  # left, right, height
    for i in np.argsort(at[:, 1], kind="stable"):
        name, x, y = labels[i]
        left, height = at[i, 0] + 5.0, at[i, 1] - 3.0
        right = left + 0.6 * LABEL_SIZE * len(name)
        for other_left, other_right, other_height in placed:
            if left < other_right and other_left < right and height < other_height + LABEL_SIZE + 1:
                height = max(height, other_height + LABEL_SIZE + 1)
        placed.append((left, right, height))
        axes.annotate(
            name,
            (x, y),
            xytext=(5.0, height - at[i, 1]),
            textcoords="offset points",
            fontsize=LABEL_SIZE,
            color=colors.get(name, MUTED),
        )


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
