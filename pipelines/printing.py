"""Tables that a person reads on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.console import print_table
from router_ml.evaluation.comparison import Table, shown_name


def print_comparison(title: str, table: Table, baseline: str) -> None:
    """The table a person reads: quality, dollars a thousand requests, and what that is against."""
    rows = []
    for name, metrics in table.items():
        quality, cost = metrics["quality"], metrics["cost_usd"]
        difference, ratio = metrics["quality_difference"], metrics["cost_ratio"]
        gain = metrics.get("hull_gain")
        rows.append(
            (
                f"{name} (baseline)" if name == baseline else shown_name(name, ratio),
                f"{quality.value:.3f} [{quality.low:.3f}, {quality.high:.3f}]",
                f"{cost.value * 1e3:.3f} [{cost.low * 1e3:.3f}, {cost.high * 1e3:.3f}]",
                f"{difference.value * 100:+.1f} [{difference.low * 100:+.1f}, "
                f"{difference.high * 100:+.1f}]",
                f"{ratio.value:.1%}",
                "–" if gain is None else f"{gain.value * 100:+.1f}",
            )
        )
    print_table(
        title,
        (
            "policy",
            "quality",
            "$ per 1,000",
            "quality difference, points",
            "cost share",
            "above hull, points",
        ),
        rows,
    )


def print_onboarding(found: Mapping[str, Any]) -> None:
    """Where a new candidate would win, and what it takes to know; as ``Onboarding.as_dict``."""
    print_table(
        "Where it would win",
        ("segment", "requests", "newcomer", "if worse", "if better", "quality", "$ per 1,000"),
        [
            (
                row["name"] if row["kind"] == "all" else f"{row['kind']}: {row['name']}",
                f"{row['rows']:,}",
                f"{row['newcomer']:.1%}",
                f"{row['newcomer_low']:.1%}",
                f"{row['newcomer_high']:.1%}",
                f"{row['quality_change'] * 100:+.1f}",
                f"{row['cost_usd_change'] * 1e3:+.3f}",
            )
            for row in found["segments"]
        ],
    )
    print_table(
        "What it takes to know",
        (
            "question",
            "margin",
            "its labels",
            "its requests",
            "requests",
            "days",
            "its $",
            "extra $",
        ),
        [
            (
                row["question"],
                f"{row['margin'] * 100:g}",
                f"{row['labels']:,}",
                f"{row['newcomer_requests']:,}",
                f"{row['requests']:,}",
                f"{row['days']:,.1f}",
                f"{row['cost_usd']:,.2f}",
                f"{row['extra_cost_usd']:+,.2f}",
            )
            for row in found["plan"]
        ],
    )
