"""Which of two candidates answered a query better: comparisons, as arenas collect them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow.parquet as pq

from router_ml.data.outcomes import parse_queries
from router_ml.data.schemas import PREFERENCES
from router_ml.features.query import Query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

WINNERS: Final = ("a", "b", "tie", "both_bad")
Names = np.typing.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Preferences:
    """n comparisons of two candidates' answers to one query each.

    Parameters
    ----------
    queries : n parsed queries; equal ones share one object
    query_id, group_id : hashes, shape (n,)
    candidates : K names
    a, b : positions of the two candidates, shape (n,)
    winner : ``a``, ``b``, ``tie`` or ``both_bad``, shape (n,)
    weight : shape (n,), > 0
    split : ``train`` or ``test``, shape (n,)
    """

    queries: tuple[Query, ...]
    query_id: Names
    group_id: Names
    candidates: tuple[str, ...]
    a: IntArray
    b: IntArray
    winner: Names
    weight: FloatArray
    split: Names

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def lead(self) -> FloatArray:
        """1 where a is better, -1 where b is, 0 where neither, shape (n,)."""
        lead: FloatArray = (self.winner == "a").astype(float) - (self.winner == "b")
        return lead

    @property
    def decided(self) -> BoolArray:
        """Whether one of the two is better, shape (n,)."""
        decided: BoolArray = self.lead != 0.0
        return decided

    def take(self, index: IntArray | BoolArray) -> Self:
        """Comparisons by position or by mask."""
        rows = np.arange(len(self))[index]
        arrays = ("query_id", "group_id", "a", "b", "winner", "weight", "split")
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            **{name: getattr(self, name)[rows] for name in arrays},
        )


def read_preferences(path: Path, candidates: tuple[str, ...]) -> Preferences | None:
    """Read what a join wrote; comparisons with any other candidate are left out.

    Parameters
    ----------
    path : ``preferences.parquet``
    candidates : K names, the order of positions

    Returns
    -------
    ``None`` where there is no such file, or no comparison among these candidates.
    """
    if not path.is_file():
        return None
    frame = pq.read_table(path, columns=list(PREFERENCES.names)).to_pandas()
    frame = frame[frame["candidate_a"].isin(candidates) & frame["candidate_b"].isin(candidates)]
    if frame.empty:
        return None
    position = {name: k for k, name in enumerate(candidates)}
    return Preferences(
        queries=parse_queries(frame),
        query_id=frame["query_id"].to_numpy(dtype=str),
        group_id=frame["group_id"].to_numpy(dtype=str),
        candidates=candidates,
        a=np.array([position[name] for name in frame["candidate_a"]], dtype=np.int64),
        b=np.array([position[name] for name in frame["candidate_b"]], dtype=np.int64),
        winner=frame["winner"].to_numpy(dtype=str),
        weight=frame["weight"].fillna(1.0).to_numpy(dtype=float),
        split=frame["split"].to_numpy(dtype=str),
    )
