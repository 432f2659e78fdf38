"""What an evaluation tells beyond means: segments, calibration and operating points, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.console import console, print_table
from router_ml.data.full_information import FullInformation
from router_ml.data.groups import distinct_rows
from router_ml.evaluation.calibration import reliability
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.logged import LogEvaluation
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.evaluation.off_policy.today import today_values
from router_ml.evaluation.segmentation import segmentations
from router_ml.evaluation.segments import UNDECIDED, WORSE, Segment, segment_table
from router_ml.types.arrays import FloatArray

Point = tuple[Estimate, Estimate]
"""Quality and dollars a request."""


def on_matrix(truth: FullInformation, probs: FloatArray, other: FloatArray) -> list[Segment]:
    """Two policies, shape (n, K) each, by segment of a matrix's queries."""
    values = [
        (p * outcome).sum(axis=1)
        for outcome in (truth.quality, truth.cost_usd)
        for p in (probs, other)
    ]
    return segment_table(*values, by=segmentations(truth.queries), group_id=truth.groups)


def on_log(log: LogEvaluation, probs: FloatArray) -> list[Segment]:
    """A policy, shape (n, K), against today, by segment of a log's requests, doubly robust."""
    first, code = distinct_rows(log.table.query_id)
    by = {
        kind: np.array(labels, dtype=object)[code].tolist()
        for kind, labels in segmentations([log.table.queries[i] for i in first]).items()
    }
    return segment_table(
        doubly_robust(log.quality, probs, log.predicted_quality).influence,
        today_values(log.quality, log.predicted_quality).influence,
        doubly_robust(log.cost_usd, probs, log.predicted_cost).influence,
        today_values(log.cost_usd, log.predicted_cost).influence,
        by=by,
        group_id=log.quality.group_id,
    )


def print_segments(segments: Sequence[Segment], policy: str, other: str) -> None:
    """The segments that tell something, and a sentence on the rest."""
    told = [segment for segment in segments if segment.verdict != UNDECIDED]
    if told:
        print_table(
            f"{policy} minus {other} by segment (intervals hold for all {len(segments)} at once)",
            ("segment", "requests", "quality", "difference, points", "cost", ""),
            [_row(segment) for segment in told],
        )
    worse = sum(segment.verdict == WORSE for segment in segments)
    console.print(
        f"Of {len(segments)} segments {policy} is shown better than {other} in "
        f"{len(told) - worse}, worse in {worse}; of the others the data cannot tell.",
        highlight=False,
    )


def _row(segment: Segment) -> tuple[str, ...]:
    value, low, high = (
        f"{100 * end:+.1f}"
        for end in (segment.difference.value, segment.difference.low, segment.difference.high)
    )
    return (
        f"{segment.kind}: {segment.name}",
        f"{segment.share:.0%}",
        f"{segment.quality:.3f}",
        f"{value} [{low}, {high}]",
        "–" if segment.cost_ratio is None else f"{segment.cost_ratio:.0%}",
        segment.verdict,
    )


def reliability_data(
    names: Sequence[str], predicted: FloatArray, observed: FloatArray
) -> dict[str, dict[str, list[float]]]:
    """Reliability diagram of each of K candidates that has a label, from (n, K) arrays."""
    found = {}
    for k, name in enumerate(names):
        if np.isfinite(observed[:, k]).any():
            curve = reliability(predicted[:, k], observed[:, k])
            found[name] = {
                "predicted": curve.predicted.round(6).tolist(),
                "observed": curve.observed.round(6).tolist(),
                "count": curve.count.tolist(),
            }
    return found


def points(router: Sequence[Point], hull: Curve | None) -> dict[str, Any]:
    """Operating points of a router and corners of the constants' hull, as a figure needs them."""
    corners = (
        [] if hull is None else list(zip(hull.hull().cost_usd, hull.hull().quality, strict=True))
    )
    return {
        "router": [{"quality": q.as_dict(), "cost_usd": c.as_dict()} for q, c in router],
        "hull": [[float(cost), float(quality)] for cost, quality in corners],
    }
