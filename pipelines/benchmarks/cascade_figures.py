"""Cost against quality of every method of the cascade benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from pipelines.benchmarks.cascade_methods import Points
from pipelines.benchmarks.workloads import GSM8K
from pipelines.figures import BASELINE, INK, MUTED, ORACLE, ROUTER, save
from router_ml.evaluation.curves import Curve

_LOOK: Final[Mapping[str, Any]] = {
    "zero_router": {"color": BASELINE, "ls": "--", "lw": 1.2},
    "frugal_gpt": {"color": "#b08bbf", "lw": 1.4},
    "router": {"color": MUTED, "lw": 1.6},
    "cascade": {"color": "#d99a2b", "lw": 1.8},
    "cascade_routing": {"color": ROUTER, "lw": 2.4},
}


def draw(workload: str, points: Mapping[str, Points], path: Path) -> Path:
    """Write a PNG: constants, the hulls of their and the methods' operating points, the oracle."""
    scale = 1.0 if workload == GSM8K else 1e3
    figure = Figure(figsize=(7.0, 4.5))
    axes = figure.add_subplot()
    constants = points["zero_router"]
    axes.scatter(
        [cost.mean() * scale for _, cost in constants],
        [quality.mean() for quality, _ in constants],
        color=MUTED,
        s=18,
        zorder=2,
        label="one candidate",
    )
    [(quality, cost)] = points["oracle"]
    axes.scatter(
        cost.mean() * scale, quality.mean(), color=ORACLE, marker="*", s=90, label="oracle"
    )
    for method, look in _LOOK.items():
        means = np.array([(c.mean() * scale, q.mean()) for q, c in points[method]])
        curve = Curve(means[:, 0], means[:, 1]).hull()
        axes.plot(curve.cost_usd, curve.quality, label=method.replace("_", " "), **look)
    if workload == GSM8K:
        axes.set_xlabel("share of requests that ask the strong candidate")
    else:
        axes.set_xscale("log")
        axes.set_xlabel("US dollars per 1,000 requests, all answers of a request counted")
    axes.set_ylabel("quality of the accepted answer")
    axes.set_title(workload, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return save(figure, path)
