"""What one method predicts, and decides at every budget, on the test rows of one split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from router_ml.learning.decisions import Played
from router_ml.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Scored:
    """One method's predictions for the rows of one split.

    Parameters
    ----------
    quality, cost_usd : shape (n_test, K); costs are NaN where the workload has none
    ms : milliseconds to tokenise, count and score each of some prompts, and of that the graph's,
        shape (m, 2); no row where not timed
    played : at every budget; ``None`` where the workload has no cost
    """

    quality: FloatArray
    cost_usd: FloatArray
    ms: FloatArray
    played: Played | None = None

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            quality=self.quality,
            cost=self.cost_usd,
            ms=self.ms,
            played=np.zeros(0) if self.played is None else self.played.array,
        )
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path) as kept:
            played = kept["played"]
            return cls(
                quality=kept["quality"],
                cost_usd=kept["cost"],
                ms=kept["ms"],
                played=Played.from_array(played) if played.size else None,
            )
