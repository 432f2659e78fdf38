"""What is expected of every candidate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from router_ml.types.arrays import BoolArray, FloatArray, IntArray

PARTS: Final = ("quality", "input_tokens", "output_tokens", "latency_ms")
"""What is predicted of a candidate: names of the arrays, and of a graph's outputs."""
EMBEDDING: Final = "embedding"
"""A graph's output that says how it sees a query."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What is expected of every candidate for every query; all arrays of shape (n_samples, K).

    Parameters
    ----------
    quality : in [0, 1]
    input_tokens, output_tokens : mean tokens, >= 0
    latency_ms : mean milliseconds, >= 0
    quality_std : standard error of ``quality``, optional
    """

    quality: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    quality_std: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.quality)

    def take(self, index: IntArray | BoolArray) -> Predictions:
        """Samples by position or by mask."""
        return Predictions(
            self.quality[index],
            self.input_tokens[index],
            self.output_tokens[index],
            self.latency_ms[index],
            None if self.quality_std is None else self.quality_std[index],
        )

    def rows(self) -> Iterator[Predictions]:
        """One sample after the other, each of shape (1, K)."""
        for i in range(len(self)):
            part = slice(i, i + 1)
            yield Predictions(
                self.quality[part],
                self.input_tokens[part],
                self.output_tokens[part],
                self.latency_ms[part],
                None if self.quality_std is None else self.quality_std[part],
            )
