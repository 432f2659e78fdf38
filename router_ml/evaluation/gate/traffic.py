"""What a promotion would do to the traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_ml.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class TrafficShift:
    """What a promotion would do to the traffic.

    Parameters
    ----------
    before, after : float arrays, shape (K,), share of requests by candidate
    moved : share of requests that would be served by another candidate, at the least
    """

    before: FloatArray
    after: FloatArray
    moved: float


def traffic_shift(champion_probs: FloatArray, challenger_probs: FloatArray) -> TrafficShift:
    """Compare two policies' distributions on the same requests, shape (n, K).

    Examples
    --------
    >>> traffic_shift(np.eye(2), np.eye(2)[[0, 0]]).moved
    0.5
    """
    kept = np.minimum(champion_probs, challenger_probs).sum(axis=1)
    return TrafficShift(
        champion_probs.mean(axis=0), challenger_probs.mean(axis=0), float(1.0 - kept.mean())
    )
