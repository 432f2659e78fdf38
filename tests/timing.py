"""Times as ratios to a reference in the same run: absolute ones fail on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def ratio(call: Callable[[], object], reference: Callable[[], object], *, repeats: int) -> float:
    """How many times as long a call takes as a reference, both in turn; of lower quartiles."""
    calls = (call, reference)
    taken = np.empty((repeats, 2))
    for row in taken:
        for column, one in enumerate(calls):
            begin = time.perf_counter()
            one()
            row[column] = time.perf_counter() - begin
    quartiles = np.quantile(taken, 0.25, axis=0)
    return float(quartiles[0] / quartiles[1])
