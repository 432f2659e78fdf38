"""What a vector store is, and the one in the process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from router_ml.errors import DataError
from router_ml.types.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest rows of each query, nearest first; of equally near ones the lower row first.

    Parameters
    ----------
    rows : int64, shape (n_samples, k)
    cosine : similarities, float, shape (n_samples, k)
    """

    rows: IntArray
    cosine: FloatArray

    @classmethod
    def from_hits(cls, hits: Iterable[Iterable[tuple[int, float]]]) -> Neighbours:
        """From ``(row, cosine)`` of each query, in any order.

        Raises
        ------
        DataError
            If a query got fewer than another.
        """
        ordered = [sorted(found, key=lambda hit: (-hit[1], hit[0])) for found in hits]
        if len({len(found) for found in ordered}) > 1:
            raise DataError(
                "the vector store gave fewer neighbours to some queries than to others; wait until "
                "it has indexed every row, or raise its search effort"
            )
        width = len(ordered[0]) if ordered else 0
        flat = np.array(ordered, dtype=np.float64).reshape(len(ordered), width, 2)
        return cls(flat[..., 0].astype(np.int64), flat[..., 1])


class VectorStore(Protocol):
    """Keeps vectors of unit length by row number, and finds the nearest."""

    def add(self, vectors: FloatArray) -> None:
        """Store rows 0 to n - 1, shape (n, dims), in place of what was there."""
        ...

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """The k nearest rows of each query, vectors of shape (n_samples, dims)."""
        ...


class InProcessStore:
    """All vectors in memory, searched without an index: one matrix product.

    Examples
    --------
    >>> store = InProcessStore()
    >>> store.add(np.eye(3, dtype=np.float32))
    >>> store.nearest(np.array([[0.0, 0.8, 0.6]], dtype=np.float32), 2).rows.tolist()
    [[1, 2]]
    """

    def __init__(self) -> None:
        self._vectors: FloatArray = np.zeros((0, 0), dtype=np.float32)

    def add(self, vectors: FloatArray) -> None:
        """See :class:`VectorStore`."""
        self._vectors = np.ascontiguousarray(vectors, dtype=np.float32)

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """See :class:`VectorStore`."""
        cosine = np.asarray(vectors, dtype=np.float32) @ self._vectors.T
        k = min(k, cosine.shape[1])
        # Whoever is as near as the k-th is looked at, so that ties are broken by row.
        kth = -np.partition(-cosine, k - 1, axis=1)[:, k - 1 : k]
        hits = []
        for row, least in zip(cosine, kth, strict=True):
            near = np.flatnonzero(row >= least)
            order = np.lexsort((near, -row[near]))[:k]
            hits.append([(int(i), float(row[i])) for i in near[order]])
        return Neighbours.from_hits(hits)
