"""Counts of one process; the event loop increments them without a lock."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from router_ml.types.decisions import Decision, RankedCandidate

BUCKETS_S: Final = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
_VALUE: Final = re.compile(r"=.*")
_MOST_LABELS: Final = 256
"""Different values of one label that are counted apart: names may come from callers."""
OTHER: Final = "other"


class Telemetry:
    """What happened in this process.

    Parameters
    ----------
    baseline : the candidate that savings are measured against; ``""`` = none, and no savings
    """

    def __init__(self, *, baseline: str = "") -> None:
        self.baseline = baseline
        self.requests: Counter[tuple[str, int]] = Counter()
        self.decisions: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.feedback: Counter[str] = Counter()
        self.shed: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.experiment: Counter[str] = Counter()
        self.stages: dict[str, list[float]] = {}
        self.predicted: dict[str, float] = {"quality": 0.0, "cost_usd": 0.0}
        self.compared: dict[str, float] = {}
        self.realised: dict[str, list[float]] = {}
        self.buckets: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests[endpoint, status] += 1
        buckets = self.buckets.get(endpoint)
        if buckets is None:
            buckets = self.buckets[endpoint] = [0] * (len(BUCKETS_S) + 1)
            self.seconds[endpoint] = 0.0
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds[endpoint] += seconds

    def stage(self, name: str, seconds: float, n: int = 1) -> None:
        """Add the time of a stage of n requests together."""
        total = self.stages.get(name)
        if total is None:
            total = self.stages[name] = [0.0, 0.0]
        total[0] += seconds
        total[1] += n

    def decided(self, decision: Decision) -> None:
        """Count a decision, what it is expected to be worth, and who was ruled out."""
        chosen = decision.candidate
        self.decisions[chosen] += 1
        line = decision.ranking[0]
        if line.candidate != chosen:
            line = _line(decision.ranking, chosen) or line
        self.predicted["quality"] += line.quality
        self.predicted["cost_usd"] += line.cost_usd
        for removal in decision.removed:
            self.removed[self._label(self.removed, _VALUE.sub("", removal.reason))] += 1
        if self.baseline and (base := _line(decision.ranking, self.baseline)) is not None:
            for name, value in (
                ("n", 1.0),
                ("cost_usd", line.cost_usd),
                ("quality", line.quality),
                ("baseline_cost_usd", base.cost_usd),
                ("baseline_quality", base.quality),
            ):
                self.compared[name] = self.compared.get(name, 0.0) + value

    def learned(self, name: str, value: float | None) -> None:
        """Add what feedback says of a decision: ``quality`` or ``cost_usd``."""
        if value is not None:
            total = self.realised.setdefault(name, [0.0, 0.0])
            total[0] += value
            total[1] += 1

    @staticmethod
    def _label(counts: Counter[str], value: str) -> str:
        return value if value in counts or len(counts) < _MOST_LABELS else OTHER


def _line(ranking: Sequence[RankedCandidate], name: str) -> RankedCandidate | None:
    return next((line for line in ranking if line.candidate == name), None)
