"""A router beside today, in numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_ml.evaluation.gate.gate import GateReport
from router_ml.evaluation.intervals import Estimate


def beside_today(report: GateReport, *, cost_usd: float) -> dict[str, Any]:
    """The router's difference to today, with 95 % bounds, and what it shows.

    Parameters
    ----------
    report : the gate's, of the router against today
    cost_usd : of today
    """
    quality, cost = (check.estimate for check in report.checks[:2])
    return {
        "quality_difference": quality.as_dict(),
        "cost_difference": cost.as_dict(),
        "cost_ratio": 1.0 + cost.value / cost_usd if cost_usd > 0.0 else None,
        "verdict": report.verdict,
    }


def sentence(beside: Mapping[str, Any], *, quality: float, cost_usd: float) -> str:
    """What a manager wants to know: today, and the router beside it.

    Parameters
    ----------
    beside : of :func:`beside_today`
    quality, cost_usd : of today
    """
    change = beside["quality_difference"]
    ratio = beside["cost_ratio"]
    at = "" if ratio is None else f" at {ratio:.0%} of its cost"
    return (
        f"Today: quality {quality:.3f} at ${cost_usd * 1e3:.3f} per 1,000 "
        f"requests. The router: {change['value'] * 100:+.1f} points ({change['low'] * 100:+.1f} to "
        f"{change['high'] * 100:+.1f}){at}: {beside['verdict']}."
    )


def estimate_text(estimate: Estimate, scale: float = 1.0) -> str:
    """A cell of a table: the value with its interval, times ``scale``."""
    low, high = estimate.low * scale, estimate.high * scale
    return f"{estimate.value * scale:.3f} [{low:.3f}, {high:.3f}]"
