"""Weaviate: a collection of a server. Tried against the client's types, not on a server."""

from __future__ import annotations

import uuid
from typing import Any, Final

from router_ml.integrations.vector_stores.store import Neighbours
from router_ml.types.arrays import FloatArray

_AT_ONCE: Final = 100
_ROW: Final = "row"


class WeaviateStore:
    """A collection whose distance is cosine, with an integer property ``row``.

    ``pip install weaviate-client``.

    Parameters
    ----------
    collection : ``weaviate.connect_to_local().collections.get("Router")``
    """

    def __init__(self, *, collection: Any) -> None:
        self.collection = collection

    def add(self, vectors: FloatArray) -> None:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        from weaviate.classes.data import DataObject

        for start in range(0, len(vectors), _AT_ONCE):
            part = vectors[start : start + _AT_ONCE].tolist()
            self.collection.data.insert_many(
                [
                    # A name of its own for every row, so that adding again replaces it.
                    DataObject(
                        properties={_ROW: start + i},
                        uuid=uuid.uuid5(uuid.NAMESPACE_OID, f"router-{start + i}"),
                        vector=row,
                    )
                    for i, row in enumerate(part)
                ]
            )

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        from weaviate.classes.query import MetadataQuery

        hits = []
        for vector in vectors.tolist():
            found = self.collection.query.near_vector(
                near_vector=vector,
                limit=k,
                return_metadata=MetadataQuery(distance=True),
                return_properties=[_ROW],
            )
            hits.append(
                [(int(o.properties[_ROW]), 1.0 - float(o.metadata.distance)) for o in found.objects]
            )
        return Neighbours.from_hits(hits)
