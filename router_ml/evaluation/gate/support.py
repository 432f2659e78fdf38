"""Which moved traffic a log cannot judge, and the worst that it may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.log_feedback import REGIONS
from router_ml.evaluation.off_policy.overlap import overlap
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

MAX_UNSUPPORTED: Final = 0.05
"""Share of requests that may move to or from where the log says too little."""


def unsupported(
    log: LoggedFeedback, moved: FloatArray, names: Sequence[str], region: IntArray | None
) -> tuple[str, BoolArray]:
    """What the log cannot say about the requests that would move, in words and by cell, (n, K).

    Those that stay cancel out.
    """
    parts, unknown = [], np.zeros(moved.shape, dtype=bool)
    rows = np.zeros(len(moved), dtype=np.int64) if region is None else region
    for label, sign in (("to", 1.0), ("from", -1.0)):
        probs = np.maximum(sign * moved, 0.0)
        regions = ("all queries",) if region is None else REGIONS
        diagnosis = overlap(log, probs, candidates=names, region=region, regions=regions)
        if diagnosis.unsupported_mass > MAX_UNSUPPORTED:
            parts.append(f"moving {label} {diagnosis.text}")
            unknown |= diagnosis.unsupported[rows] & (probs > 0.0)
    return "; ".join(parts), unknown


def worst_case(
    log: LoggedFeedback, moved: FloatArray, guess: FloatArray, unknown: BoolArray
) -> tuple[LoggedFeedback, FloatArray]:
    """The worst that the cells which the log cannot judge may hold for the challenger.

    Whatever would move there is answered wrongly, whatever would move away was answered rightly;
    the few outcomes that the log has of them are not looked at.

    Returns
    -------
    The log without those outcomes, and the guess with the worst in those cells, shape (n, K).
    """
    mine = unknown[np.arange(len(log)), log.action]
    seen = replace(log, outcome=np.where(mine, np.nan, log.outcome))
    return seen, np.where(unknown, np.where(moved > 0.0, 0.0, 1.0), guess)
