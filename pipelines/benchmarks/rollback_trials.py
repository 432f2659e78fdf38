"""How often a champion that is not worse is rolled back, and how soon one that is.

Champion and predecessor choose differently on half of the requests, with one candidate each; the
champion serves, and explores the other's with a known probability. The predecessor's candidate is
right in four of five answers, the champion's in so much less. The watch looks after every hundred
labelled requests, forty times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.trials import share_of_trials
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

LOOKS: Final = np.arange(100, 4_001, 100)
LOSSES: Final = (0.0, 0.05, 0.1, 0.2, 0.4)
EXPLORED: Final = (0.05, 0.2)
_RIGHT: Final = 0.8
_DIFFER: Final = 0.5
_GUESS: Final = 0.7
"""What both routers predict of either candidate: wrong, as predictions are."""


def run(out: Path, *, n_trials: int = 1_000, random_state: int = 7) -> Path:
    """Measure and write ``workloads.explores <share>.methods.loses <quality>`` as JSON."""
    rng = np.random.default_rng(random_state)
    workloads: dict[str, Any] = {}
    for explored in EXPLORED:
        methods = {}
        for loss in LOSSES:
            first = np.array([_first(rng, loss, explored) for _ in range(n_trials)])
            median = float(np.median(first))
            cells = {"rolled_back": share_of_trials(np.isfinite(first))}
            if np.isfinite(median):
                low, high = np.sort(first)[_order(n_trials)]
                cells["labelled_requests"] = Estimate(median, float(low), float(high), n_trials)
            methods[f"loses {loss:g}"] = {name: cell.as_dict() for name, cell in cells.items()}
        workloads[f"explores {explored:g}"] = {"methods": methods}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps({"workloads": workloads}, option=orjson.OPT_INDENT_2))
    return out


def _first(rng: np.random.Generator, loss: float, explored: float) -> float:
    """Labelled requests at the look that rolls back; infinity where none does."""
    gate = Gate(mode="superior", peeking="sequence", alpha=0.025)
    rows = _values(rng, loss, explored, int(LOOKS[-1]))
    nothing = np.zeros(len(rows))
    for n in LOOKS:
        if gate.judge(rows[:n], nothing[:n]).passed:
            return float(n)
    return float("inf")


def _values(rng: np.random.Generator, loss: float, explored: float, n: int) -> FloatArray:
    """Doubly robust values of the predecessor less those of the champion, shape (n,)."""
    champion = np.array([1.0 - explored, explored])
    difference = champion[::-1] - champion
    action = (rng.random(n) < explored).astype(int)
    right = rng.random(n) < np.array([_RIGHT - loss, _RIGHT])[action]
    correction = difference[action] / champion[action] * (right - _GUESS)
    values: FloatArray = np.where(rng.random(n) < _DIFFER, correction, 0.0)
    return values


def _order(n: int) -> list[int]:
    """Places of the order statistics that hold the median with 95 % confidence."""
    reach = 0.98 * np.sqrt(n)
    return [max(0, int(n / 2 - reach)), min(n - 1, int(n / 2 + reach))]
