"""Qdrant: its client in memory, in a folder, or on a server."""

from __future__ import annotations

from typing import Any, Final

from router_ml.integrations.vector_stores.store import Neighbours
from router_ml.types.arrays import FloatArray

_AT_ONCE: Final = 256


class QdrantStore:
    """A collection of a Qdrant client; ``pip install qdrant-client``.

    Parameters
    ----------
    client : ``QdrantClient(":memory:")``, ``QdrantClient(path=…)`` or ``QdrantClient(url=…)``
    collection : its name; :meth:`add` replaces it
    exact : search without the index. A server's index finds most, but not all, of the nearest.
    """

    def __init__(self, *, client: Any, collection: str = "router", exact: bool = True) -> None:
        self.client = client
        self.collection = collection
        self.exact = exact

    def add(self, vectors: FloatArray) -> None:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        from qdrant_client import models

        if self.client.collection_exists(self.collection):
            self.client.delete_collection(self.collection)
        size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        self.client.create_collection(self.collection, vectors_config=size)
        self.client.upload_collection(
            self.collection, vectors=vectors, ids=range(len(vectors)), wait=True
        )

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        from qdrant_client import models

        params = models.SearchParams(exact=self.exact)
        hits: list[list[tuple[int, float]]] = []
        for start in range(0, len(vectors), _AT_ONCE):
            part = vectors[start : start + _AT_ONCE].tolist()
            requests = [models.QueryRequest(query=row, limit=k, params=params) for row in part]
            for answer in self.client.query_batch_points(self.collection, requests=requests):
                hits.append([(int(point.id), float(point.score)) for point in answer.points])
        return Neighbours.from_hits(hits)
