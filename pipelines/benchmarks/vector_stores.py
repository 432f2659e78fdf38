"""Vector stores by size: milliseconds to the neighbours of one query, all in one run.

Needs ``pip install qdrant-client lancedb`` beside the project's own packages.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from router_ml.integrations.vector_stores.lance import LanceStore
from router_ml.integrations.vector_stores.qdrant import QdrantStore
from router_ml.integrations.vector_stores.store import InProcessStore, VectorStore

_DIMS: Final = 256
_K: Final = 100


def run(sizes: Sequence[int], *, n_queries: int = 30, random_state: int = 0) -> dict[str, Any]:
    """``{size: {store: {median, p99, ratio, same}}}``; ratios are to the process's own search."""
    rng = np.random.default_rng(random_state)
    found: dict[str, Any] = {}
    for size in sizes:
        vectors = _unit(rng.normal(size=(size, _DIMS)))
        queries = _unit(rng.normal(size=(n_queries, _DIMS)))
        with tempfile.TemporaryDirectory() as folder:
            stores = _stores(Path(folder))
            for store in stores.values():
                store.add(vectors)
            found[str(size)] = _timed(stores, queries)
    return found


def _stores(folder: Path) -> dict[str, VectorStore]:
    import lancedb
    from qdrant_client import QdrantClient

    return {
        "process": InProcessStore(),
        "qdrant, in memory": QdrantStore(client=QdrantClient(":memory:")),
        "lancedb, in a folder": LanceStore(database=lancedb.connect(folder)),
    }


def _timed(stores: dict[str, VectorStore], queries: Any) -> dict[str, Any]:
    spent: dict[str, list[float]] = {name: [] for name in stores}
    same = dict.fromkeys(stores, True)
    for query in queries:
        rows = {}
        for name, store in stores.items():
            begun = time.perf_counter()
            rows[name] = store.nearest(query[None], _K).rows
            spent[name].append(1e3 * (time.perf_counter() - begun))
        for name in stores:
            same[name] &= set(rows[name][0].tolist()) == set(rows["process"][0].tolist())
    base = float(np.median(spent["process"]))
    return {
        name: {
            "median": float(np.median(values)),
            "p99": float(np.quantile(values, 0.99)),
            "ratio": float(np.median(values)) / base,
            "same": same[name],
        }
        for name, values in spent.items()
    }


def _unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
