"""LanceDB: a table in a folder or in object storage."""

from __future__ import annotations

from typing import Any

from router_ml.integrations.vector_stores.store import Neighbours
from router_ml.types.arrays import FloatArray


class LanceStore:
    """A table of a LanceDB connection; ``pip install lancedb``.

    Parameters
    ----------
    database : ``lancedb.connect(folder)``
    table : its name; :meth:`add` replaces it. An index that you make on it is used.
    """

    def __init__(self, *, database: Any, table: str = "router") -> None:
        self.database = database
        self.table = table
        self._open: Any = None

    def add(self, vectors: FloatArray) -> None:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        import pyarrow as pa

        flat = pa.array(vectors.astype("f4").ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        rows = pa.table({"row": pa.array(range(len(vectors)), pa.int64()), "vector": column})
        self._open = self.database.create_table(self.table, rows, mode="overwrite")

    def nearest(self, vectors: FloatArray, k: int) -> Neighbours:
        """See :class:`router_ml.integrations.vector_stores.store.VectorStore`."""
        if self._open is None:
            self._open = self.database.open_table(self.table)
        hits = []
        for vector in vectors:
            found = self._open.search(vector).distance_type("cosine").limit(k)
            table = found.select(["row", "_distance"]).to_arrow()
            distances = table["_distance"].to_pylist()
            hits.append(
                [(r, 1.0 - d) for r, d in zip(table["row"].to_pylist(), distances, strict=True)]
            )
        return Neighbours.from_hits(hits)
