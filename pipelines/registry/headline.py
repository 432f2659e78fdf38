"""What a run is compared by: two numbers of its evaluation, a name and a note for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from router_ml.bundle.files import Bundle
from router_ml.runtime.runtime import Runtime

PREFIX: Final = "headline"
_ENDS: Final = ("value", "low", "high")


def headline(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The numbers that compare trainings, each with its 95 % interval; held out, as evaluated.

    ``hull_gain``: mean quality above the mixture of constants that costs the same.
    ``quality_at_todays_cost``: of the router's operating points, between which one can randomise.
    ``quality`` and ``cost_usd``: of the router as it is. What the evaluation does not tell is left
    out.

    Parameters
    ----------
    summary : as ``evaluation.json`` holds it
    """
    policies = summary.get("policies", {})
    router = policies.get("router", {})
    found: dict[str, dict[str, float]] = {}
    if gain := summary.get("hull_gain") or router.get("hull_gain"):
        found["hull_gain"] = _ends(gain)
    for name in ("quality", "cost_usd"):
        if (estimate := router.get(name) or router.get(f"{name}_dr")) is not None:
            found[name] = _ends(estimate)
    today = policies.get("today", {})
    cost = today.get("cost_usd") or today.get("cost_usd_dr")
    points = list(summary.get("points", {}).get("router", ()))
    if {"quality", "cost_usd"} <= set(found):
        points.append({"quality": found["quality"], "cost_usd": found["cost_usd"]})
    if cost is not None and (at := _at_cost(points, float(cost["value"]))) is not None:
        found["quality_at_todays_cost"] = at
    return found


def headline_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The same as metrics of a run: ``headline/hull_gain``, ``…_low``, ``…_high``.

    Examples
    --------
    >>> cell = {"value": 0.9, "low": 0.88, "high": 0.92}
    >>> headline_metrics({"policies": {"router": {"quality": cell}}})["headline/quality_low"]
    0.88
    """
    return {
        f"{PREFIX}/{name}" + ("" if end == "value" else f"_{end}"): estimate[end]
        for name, estimate in headline(summary).items()
        for end in _ENDS
        if estimate.get(end) is not None
    }


def run_name(bundle: Bundle, training: Mapping[str, Any]) -> str:
    """Such as ``stacked, 1,741 labels, highest quality at a mean of $0.00062 a request``."""
    estimator = training.get("quality", {})
    name = estimator.get("name") if isinstance(estimator, Mapping) else estimator
    labels = bundle.manifest.training.get("labelled_cells")
    parts = [str(name)] if name else []
    parts += [f"{labels:,} labels"] if labels else []
    return ", ".join([*parts, Runtime(bundle=bundle).policy.reason])


def note(bundle: Bundle, summary: Mapping[str, Any] | None, training: Mapping[str, Any]) -> str:
    """Markdown for the run's and the version's page: verdict, headline, candidates, data."""
    lines = [f"**{run_name(bundle, training)}**", ""]
    if summary is not None:
        lines += [
            str(summary.get("verdict", "")),
            "",
            "| held out | value | 95 % |",
            "|---|---|---|",
        ]
        for name, estimate in headline(summary).items():
            digits = 6 if name == "cost_usd" else 4
            value, low, high = (f"{estimate[end]:.{digits}f}" for end in _ENDS)
            lines.append(f"| {name} | {value} | {low} to {high} |")
    trained = bundle.manifest.training
    lines += [
        "",
        f"Candidates: {', '.join(bundle.candidates.names)}.",
        f"Learned from {trained.get('rows', 0):,} requests with "
        f"{trained.get('labelled_cells', 0):,} labels. Bundle {bundle.manifest.bundle_id}.",
    ]
    return "\n".join(lines)


def _ends(estimate: Mapping[str, Any]) -> dict[str, float]:
    return {end: estimate[end] for end in _ENDS}


def _at_cost(points: Sequence[Mapping[str, Any]], cost_usd: float) -> dict[str, float] | None:
    """Quality between operating points at a cost; ``None`` below the cheapest."""
    if not points:
        return None
    cost = np.array([point["cost_usd"]["value"] for point in points])
    order = np.argsort(cost, kind="stable")
    if cost_usd < cost[order[0]]:
        return None
    # A point that costs more and does worse is not played.
    kept, best = [], -np.inf
    for i in order:
        if points[i]["quality"]["value"] > best:
            kept.append(int(i))
            best = points[i]["quality"]["value"]
    return {
        end: float(np.interp(cost_usd, cost[kept], [points[i]["quality"][end] for i in kept]))
        for end in _ENDS
    }
