"""Figures of the quality benchmark: deferral, cost–quality, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.benchmarks.workloads import MMLU, label_count
from pipelines.figures import BASELINE, INK, MUTED, ORACLE, ROUTER, save
from router_ml.data.full_information import FullInformation
from router_ml.evaluation.calibration import reliability
from router_ml.evaluation.curves import Curve, zero_router
from router_ml.evaluation.metrics import choices_by_cost_weight, curve_points
from router_ml.types.arrays import FloatArray

_SHIPPED: Final = "fast"
_TEACHER: Final = "best"
_SIZE: Final = (8.0, 4.5)
_HEADROOM: Final = 0.15
"""Above the best curve, as a share of what is drawn below; the oracle may leave the frame."""
_MIN_PROMPTS: Final = 20
"""Of a domain that is drawn."""


def draw(
    name: str, truth: FullInformation, predictions: Mapping[str, FloatArray], folder: Path
) -> None:
    """Write PNGs for one workload into ``folder``.

    Parameters
    ----------
    truth : of the tested rows
    predictions : quality by method, shape (n, K), and cost under ``<method>:cost``
    """
    methods = [key for key in predictions if ":" not in key]
    if not methods:
        return
    figure = Figure(figsize=_SIZE)
    axes = figure.add_subplot()
    if truth.has_cost:
        _cost_quality(axes, truth, predictions, methods)
    elif truth.quality.shape[1] == 2:
        _deferral(axes, truth, predictions, methods)
    else:
        _bars(axes, truth, predictions, methods)
    axes.set_title(name, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, folder / f"{name}.png")
    if _SHIPPED in predictions:
        save(_reliability(truth, predictions[_SHIPPED]), folder / f"{name}-reliability.png")


def draw_learning_curve(workloads: Mapping[str, Any], folder: Path) -> None:
    """APGR against labels, from every ``routellm-mmlu-<n>`` that was measured, as a PNG."""
    counts = {n: name for name in workloads if (n := label_count(name)) is not None}
    if len(counts) < 2:
        return
    figure = Figure(figsize=_SIZE)
    axes = figure.add_subplot()
    sizes = sorted(counts)
    rows = [workloads[counts[n]]["methods"] for n in sizes]
    for method in [m for m in rows[0] if all(m in row and "apgr" in row[m] for row in rows)]:
        if method in ("random", "oracle"):
            continue
        look = _look(method)
        axes.plot(sizes, [row[method]["apgr"]["value"] for row in rows], marker="o", ms=3, **look)
        if method == _SHIPPED:
            low, high = ([row[method]["apgr"][key] for row in rows] for key in ("low", "high"))
            axes.fill_between(sizes, low, high, color=ROUTER, alpha=0.15, lw=0)
    axes.axhline(0.5, color=BASELINE, ls="--", label="random")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.set_xlabel("labelled prompts to learn from")
    axes.set_ylabel("APGR on the rest")
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes)
    save(figure, folder / f"{MMLU}-learning-curve.png")


def _deferral(
    axes: Axes, truth: FullInformation, predictions: Mapping[str, FloatArray], methods: list[str]
) -> None:
    weak, strong = truth.quality.T
    share = np.linspace(0.0, 1.0, len(truth) + 1)
    axes.plot([0, 1], [weak.mean(), strong.mean()], color=BASELINE, ls="--", label="random")
    scores = {method: np.diff(predictions[method])[:, 0] for method in methods}
    low, high = sorted((weak.mean(), strong.mean()))
    for method, score in {**scores, "oracle": strong - weak}.items():
        order = np.argsort(-score, kind="stable")
        gain = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
        quality = weak.mean() + gain / len(truth)
        look = _look(method)
        if method == "oracle":
            look["label"] = f"oracle (up to {quality.max():.3f})"
        else:
            high = max(high, quality.max())
        axes.plot(share, quality, **look)
    room = _HEADROOM * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_xlabel("share of requests to the strong candidate")
    axes.set_ylabel("quality")
    _legend(axes)


def _cost_quality(
    axes: Axes, truth: FullInformation, predictions: Mapping[str, FloatArray], methods: list[str]
) -> None:
    zero = zero_router(truth.cost_usd, truth.quality)
    _hull(axes, zero, color=BASELINE, ls="--", label="zero router")
    alone = 1000 * truth.cost_usd.mean(axis=0)
    axes.scatter(alone, truth.quality.mean(axis=0), color=MUTED, s=18, label="constants")
    best = truth.quality.max(axis=1)
    cheapest = np.where(truth.quality >= best[:, None], truth.cost_usd, np.inf).min(axis=1)
    axes.scatter(1000 * cheapest.mean(), best.mean(), color=ORACLE, marker="*", label="oracle")
    for method in methods:
        choices = choices_by_cost_weight(predictions[method], predictions[f"{method}:cost"])
        quality, cost = curve_points(choices, truth.quality, truth.cost_usd)
        _hull(axes, Curve(cost.mean(axis=0), quality.mean(axis=0)), **_look(method))
    axes.set_xscale("log")
    axes.set_xlabel("US dollars per 1,000 requests")
    axes.set_ylabel("quality")
    _legend(axes)


def _hull(axes: Axes, curve: Curve, **look: Any) -> None:
    """Mixing two points is a straight line in dollars, so a curve on the log axis."""
    least, most = (float(usd) for usd in curve.hull().cost_usd[[0, -1]])
    spend = np.geomspace(least, most, 200).clip(least, most)
    axes.plot(1000 * spend, [curve.quality_at_cost(usd) for usd in spend], **look)


def _bars(
    axes: Axes, truth: FullInformation, predictions: Mapping[str, FloatArray], methods: list[str]
) -> None:
    rows = np.arange(len(truth))
    routed = [truth.quality[rows, predictions[m].argmax(axis=1)].mean() for m in methods]
    axes.barh(methods, routed, color=[ROUTER if m == _SHIPPED else MUTED for m in methods])
    for value, label, color in (
        (truth.quality.mean(axis=0).max(), "best single", BASELINE),
        (truth.quality.max(axis=1).mean(), "oracle", ORACLE),
    ):
        axes.axvline(value, color=color, ls="--", label=label)
    axes.set_xlim(left=0.9 * min(routed))
    axes.set_xlabel("routed quality")
    _legend(axes)


def _reliability(truth: FullInformation, predicted: FloatArray) -> Figure:
    """By candidate, in ten bins; and by candidate and domain, one point each, where known."""
    n_panels = 2 if truth.domain else 1
    figure = Figure(figsize=(5.0 * n_panels, 5.0))
    panels = figure.subplots(1, n_panels, squeeze=False)[0]
    for axes in panels:
        axes.plot([0, 1], [0, 1], color=MUTED, ls="--")
        axes.set_xlabel("predicted quality")
    for k, name in enumerate(truth.candidates.names):
        bins = reliability(predicted[:, k], truth.quality[:, k])
        panels[0].plot(bins.predicted, bins.observed, marker="o", ms=3, lw=1, label=name)
    panels[0].set_title("by candidate", loc="left", color=INK)
    panels[0].set_ylabel("observed quality")
    panels[0].legend(frameon=False, fontsize=6)
    if truth.domain:
        _reliability_by_domain(panels[1], truth, predicted)
    return figure


def _reliability_by_domain(axes: Axes, truth: FullInformation, predicted: FloatArray) -> None:
    domain = np.array(truth.domain)
    names, counts = np.unique(domain, return_counts=True)
    shown = names[counts >= _MIN_PROMPTS]
    for k in range(truth.quality.shape[1]):
        mean = np.array([predicted[domain == name, k].mean() for name in shown])
        observed = [truth.quality[domain == name, k] for name in shown]
        error = [1.96 * q.std() / np.sqrt(len(q)) for q in observed]
        axes.errorbar(mean, [q.mean() for q in observed], error, fmt="o", ms=3, lw=0.5)
    axes.set_title(f"by candidate and domain ({len(shown)}), 95 %", loc="left", color=INK)


def _legend(axes: Axes) -> None:
    """Beside the axes, where it hides no curve."""
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _look(method: str) -> dict[str, Any]:
    if method == _SHIPPED:
        return {"color": ROUTER, "lw": 2.2, "label": method, "zorder": 4}
    if method == _TEACHER:
        return {"color": INK, "lw": 1.6, "label": method, "zorder": 3}
    if method == "oracle":
        return {"color": ORACLE, "lw": 1.2, "label": method}
    return {"lw": 0.8, "alpha": 0.8, "label": method}
