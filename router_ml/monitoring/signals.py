"""What is watched of a candidate, and how its outcomes are tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from router_ml.monitoring.alternatives import FALLING, MOVED, RISING, SHIFTED
from router_ml.monitoring.detector import ShiftDetector
from router_ml.monitoring.models import BinaryModel, ScoreModel
from router_ml.types.arrays import FloatArray

Kind = Literal["binary", "rare", "score", "amount", "share", "new"]


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal of every candidate.

    Parameters
    ----------
    weight : share of the error rate that is spent on it
    kind : ``binary`` and ``score`` for quality, found from its values; ``rare`` for failures;
        ``amount`` for what is positive; ``share`` for traffic, ``new`` where it brings what
        training did not see, whose share is known less well
    worse : sign of a change for the worse
    segmented : whether it is tested in every segment, too
    """

    weight: float
    kind: Kind
    worse: float
    segmented: bool = False


QUALITY: Final = "quality"
TRAFFIC: Final = "traffic"
SIGNALS: Final[Mapping[str, Signal]] = {
    QUALITY: Signal(0.55, "binary", -1.0, segmented=True),
    "errors": Signal(0.10, "rare", 1.0, segmented=True),
    "price": Signal(0.05, "rare", 1.0),
    "latency_ms": Signal(0.10, "amount", 1.0),
    "input_tokens": Signal(0.05, "amount", 1.0),
    "output_tokens": Signal(0.05, "amount", 1.0),
    TRAFFIC: Signal(0.10, "share", 0.0),
}
"""Weights sum to one."""
_RARE_LOG_ODDS: Final = -4.0


@dataclass(frozen=True, slots=True)
class Observations:
    """n outcomes of one signal, in the order in which they came to be known.

    Parameters
    ----------
    signal : of :data:`SIGNALS`
    time : naive UTC, datetime64[us], shape (n,)
    candidate : names, n of them
    predicted : before the outcome was known; 0.5 where nothing predicts it, as of failures, and 1
        of an amount
    observed : shape (n,)
    segments : kind to n values; ``""`` = of none
    label : name of the feedback
    """

    signal: str
    time: np.ndarray[tuple[int], np.dtype[np.datetime64]]
    candidate: Sequence[str]
    predicted: FloatArray
    observed: FloatArray
    segments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    label: str = ""

    def __len__(self) -> int:
        return len(self.predicted)


def make_detector(kind: Kind) -> ShiftDetector:
    """A detector for a stream of that kind."""
    if kind == "binary":
        return ShiftDetector(model=BinaryModel(), alternatives=FALLING)
    if kind == "share":
        return ShiftDetector(model=BinaryModel(), alternatives=MOVED)
    if kind == "new":
        return ShiftDetector(model=BinaryModel(std=1.0), alternatives=RISING)
    if kind == "rare":
        return ShiftDetector(model=BinaryModel(centre=_RARE_LOG_ODDS, std=1.0), alternatives=RISING)
    return ShiftDetector(model=ScoreModel(relative=kind == "amount"), alternatives=SHIFTED)


def kind_of(signal: str, observed: FloatArray) -> Kind:
    """Of quality: ``binary`` where all of it is right or wrong, else ``score``."""
    if signal == QUALITY and not np.isin(observed, (0.0, 1.0)).all():
        return "score"
    return SIGNALS[signal].kind
