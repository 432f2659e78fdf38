"""One signal of one candidate in one segment, under test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from router_ml.monitoring.change import ChangePoint, locate
from router_ml.monitoring.signals import Kind, make_detector
from router_ml.types.arrays import FloatArray

Times = np.ndarray[tuple[int], np.dtype[np.datetime64]]


_POINTS: Final = 30
_SHOWN: Final = 200
"""Outcomes before a change that a figure shows, at least."""


class Key(NamedTuple):
    """Names of a stream; ``kind`` and ``value`` of its segment are ``""`` for all requests."""

    signal: str
    label: str
    candidate: str
    kind: str = ""
    value: str = ""

    @property
    def group(self) -> tuple[str, str, str]:
        """What is reported, and begins anew, together."""
        return self.signal, self.label, self.candidate


@dataclass(frozen=True, slots=True)
class Shift:
    """What a stream shows: see :class:`router_ml.monitoring.alarm.Alarm`."""

    point: ChangePoint
    times: tuple[np.datetime64, np.datetime64, np.datetime64]
    before: float
    after: float
    expected: float
    n_before: int
    n_after: int
    course: tuple[tuple[str, float, float], ...]


class Stream:
    """A detector with the times of its outcomes.

    Parameters
    ----------
    kind : of its outcomes
    log_weight : logarithm of its share of the error rate

    Attributes
    ----------
    peak : largest weighted logarithm of the e-process after any of the latest outcomes
    """

    def __init__(self, *, kind: Kind, log_weight: float) -> None:
        self.kind = kind
        self.log_weight = log_weight
        self.detector = make_detector(kind)
        self.peak = -math.inf
        self.times: Times = np.zeros(0, dtype="datetime64[us]")

    @property
    def log_e(self) -> float:
        """Weighted."""
        return self.log_weight + self.detector.log_e

    def update(self, time: Times, predicted: FloatArray, observed: FloatArray) -> None:
        """Take outcomes in their order."""
        path = self.detector.update(predicted, observed)
        self.times = np.r_[self.times, time][-len(self.detector.predicted) :]
        self.peak = self.log_weight + float(path.max())

    def shift(self) -> Shift:
        """Since when it is otherwise, and how."""
        predicted, observed = self.detector.predicted, self.detector.observed
        is_amount = self.kind == "amount"
        if is_amount:
            values = np.log(np.maximum(observed, 1e-9) / np.maximum(predicted, 1e-9))
            low, high = np.quantile(values, [0.01, 0.99])
            point = locate(np.clip(values, low, high))
        else:
            binary = bool(np.isin(observed, (0.0, 1.0)).all())
            point = locate(observed if binary else observed - predicted, binary=binary)
        t = point.at
        before, after = float(observed[:t].mean()), float(observed[t:].mean())
        foreseen, now = float(predicted[:t].mean()), float(predicted[t:].mean())
        expected = now * before / max(foreseen, 1e-9) if is_amount else now + before - foreseen
        return Shift(
            point,
            (self.times[t], self.times[point.low], self.times[point.high]),
            before,
            after,
            expected if is_amount else min(1.0, max(0.0, expected)),
            t,
            len(observed) - t,
            self._course(t, expected / max(now, 1e-9) if is_amount else expected - now, is_amount),
        )

    def _course(
        self, t: int, offset: float, is_amount: bool
    ) -> tuple[tuple[str, float, float], ...]:
        """Means of outcomes around a change, twice as many from before it as from after it."""
        observed, predicted = self.detector.observed, self.detector.predicted
        n = len(observed)
        begin = max(0, t - max(_SHOWN, 2 * (n - t)))
        found = []
        for rows in np.array_split(np.arange(begin, n), min(_POINTS, n - begin)):
            mean = float(predicted[rows].mean())
            expected = mean * offset if is_amount else mean + offset
            moment = str(self.times[rows[len(rows) // 2]])
            found.append((moment, round(float(observed[rows].mean()), 6), round(expected, 6)))
        return tuple(found)

    def restart(self, since: np.datetime64) -> None:
        """Forget what was before a change."""
        keep = int((self.times >= since).sum())
        self.detector.restart(keep)
        self.times = self.times[len(self.times) - keep :]
        self.peak = -math.inf

    def state(self) -> dict[str, Any]:
        """Arrays that :meth:`load` takes."""
        return {"times": self.times.astype(np.int64), **self.detector.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another was."""
        given = dict(state)
        self.times = given.pop("times").astype("datetime64[us]")
        self.detector.load(given)
        self.peak = self.log_e
