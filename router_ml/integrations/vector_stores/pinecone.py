"""Pinecone: an index of the service. Tried against the client's types, not on the service."""

from __future__ import annotations

from typing import Any, Final

from router_ml.integrations.vector_stores.store import Neighbours
from router_ml.types.arrays import FloatArray

_AT_ONCE: Final = 100


class PineconeStore:
    """An index whose metric is cosine; ``pip install pinecone``.

    The index is eventually consistent: rows are found some seconds after :meth:`add`.

    Parameters
    ----------
    index : ``Pinecone(api_key=…).Index(…)``
    namespace : :meth:`add` writes rows 0 to n - 1 into it; rows beyond that stay
    """

    def __init__(self, *, index: Any, namespace: str = "router") -> None:
        self.index = index
        self.namespace = namespace

    def add(self, vectors: FloatArray) -> None:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        for start in range(0, len(vectors), _AT_ONCE):
            part = vectors[start : start + _AT_ONCE].tolist()
            rows = [{"id": str(start + i), "values": row} for i, row in enumerate(part)]
            self.index.upsert(vectors=rows, namespace=self.namespace)

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        hits = []
        for vector in vectors.tolist():
            found = self.index.query(vector=vector, top_k=k, namespace=self.namespace)
            hits.append([(int(match.id), float(match.score)) for match in found.matches])
        return Neighbours.from_hits(hits)
