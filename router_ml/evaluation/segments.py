"""Where a policy gains on another and where it loses, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.evaluation.intervals import Estimate, simultaneous_means
from router_ml.types.arrays import FloatArray, IntArray

MIN_ROWS: Final = 30
"""Rows below which a segment is counted among the others of its kind."""
OTHERS: Final = "others"
BETTER: Final = "better"
WORSE: Final = "worse"
UNDECIDED: Final = "can't tell"
_ROUNDING: Final = 1e-9
"""Differences of row values below it are those of sums in another order."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One kind of requests under two policies.

    Parameters
    ----------
    kind : such as ``language``
    name : such as ``de``
    rows : requests
    share : of all requests
    quality : mean of the policy
    difference : of quality, the policy minus the other; its interval holds for all segments at once
    cost_ratio : the policy's mean cost over the other's; ``None`` where that is free
    verdict : ``better``, ``worse`` or ``can't tell``, by that interval
    """

    kind: str
    name: str
    rows: int
    share: float
    quality: float
    difference: Estimate
    cost_ratio: float | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {
            "kind": self.kind,
            "name": self.name,
            "rows": self.rows,
            "share": self.share,
            "quality": self.quality,
            "difference": self.difference.as_dict(),
            "cost_ratio": self.cost_ratio,
            "verdict": self.verdict,
        }


def segment_table(
    quality: FloatArray,
    other_quality: FloatArray,
    cost_usd: FloatArray,
    other_cost: FloatArray,
    *,
    by: Mapping[str, Sequence[str]],
    group_id: IntArray | None = None,
    n_resamples: int = 1_000,
    random_state: int = 0,
) -> list[Segment]:
    """Compare two policies in every segment, the largest of a kind first.

    Intervals are simultaneous over all segments (max-t), so that the one where the policy looks
    worst is not called worse by luck. A kind of one segment says nothing and is left out.

    Parameters
    ----------
    quality, other_quality, cost_usd, other_cost : row values, shape (n,): outcomes on a matrix,
        doubly robust pseudo-outcomes on a log
    by : kind to a label a row, n each, as :func:`segmentations` gives them
    group_id : int array, shape (n,), the independent unit

    Raises
    ------
    SchemaError
        If lengths differ.

    Examples
    --------
    >>> quality = np.array([1.0, 0.9] * 40 + [0.2, 0.1] * 40)
    >>> free = np.zeros(160)
    >>> table = segment_table(quality, np.full(160, 0.5), free, free,
    ...     by={"language": ["en"] * 80 + ["de"] * 80})
    >>> [(segment.name, segment.rows, segment.verdict) for segment in table]
    [('de', 80, 'worse'), ('en', 80, 'better')]
    """
    n = len(quality)
    parts: list[tuple[str, str, np.ndarray]] = []
    for kind, labels in by.items():
        if len(labels) != n:
            raise SchemaError(f"{kind} must have {n} labels, one a row, got {len(labels)}")
        parts += [(kind, *part) for part in parts_of(np.asarray(labels, dtype=object))]
    if not parts:
        return []
    difference = quality - other_quality
    difference[np.abs(difference) < _ROUNDING] = 0.0
    columns = np.empty((n, len(parts)))
    for j, (_, _, inside) in enumerate(parts):
        mean = difference[inside].mean()
        columns[:, j] = mean + inside * (difference - mean) / inside.mean()
    estimates = simultaneous_means(
        columns, group_id, n_resamples=n_resamples, random_state=random_state
    )
    return [
        _segment(kind, name, inside, quality, (cost_usd, other_cost), estimate)
        for (kind, name, inside), estimate in zip(parts, estimates, strict=True)
    ]


def parts_of(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Segments of a kind: (name, rows inside) each, small ones together, the largest first.

    Parameters
    ----------
    labels : one a row, shape (n,)

    Examples
    --------
    >>> [name for name, _ in parts_of(np.array(["en"] * 40 + ["de"] * 60, dtype=object))]
    ['de', 'en']
    """
    names, code = np.unique(labels.astype(str), return_inverse=True)
    count = np.bincount(code)
    small = count < MIN_ROWS
    if small.sum() > 1 or (small.any() and count[small].sum() >= MIN_ROWS):
        names = np.where(small, OTHERS, names)
        names, again = np.unique(names, return_inverse=True)
        code = again[code]
        count = np.bincount(code)
    kept = [k for k in np.lexsort((names, -count)) if count[k] >= MIN_ROWS]
    return [(str(names[k]), code == k) for k in kept] if len(kept) > 1 else []


def _segment(
    kind: str,
    name: str,
    inside: np.ndarray,
    quality: FloatArray,
    costs: tuple[FloatArray, FloatArray],
    estimate: Estimate,
) -> Segment:
    rows = int(inside.sum())
    mine, other = (float(cost[inside].mean()) for cost in costs)
    verdict = BETTER if estimate.low > 0 else WORSE if estimate.high < 0 else UNDECIDED
    return Segment(
        kind=kind,
        name=name,
        rows=rows,
        share=rows / len(quality),
        quality=float(quality[inside].mean()),
        difference=Estimate(estimate.value, estimate.low, estimate.high, rows),
        cost_ratio=mine / other if other > 0 else None,
        verdict=verdict,
    )
