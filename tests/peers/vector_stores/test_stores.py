"""Every store finds the neighbours that the process finds, and kNN over it predicts the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lancedb
import numpy as np
import pinecone
import pytest
from qdrant_client import QdrantClient
from weaviate.collections.data import _DataCollection
from weaviate.collections.query import _QueryCollection

from router_ml.estimators.knn import KNNEstimator
from router_ml.integrations.vector_stores.knn import StoredKNN
from router_ml.integrations.vector_stores.lance import LanceStore
from router_ml.integrations.vector_stores.pinecone import PineconeStore
from router_ml.integrations.vector_stores.qdrant import QdrantStore
from router_ml.integrations.vector_stores.store import InProcessStore, VectorStore
from router_ml.integrations.vector_stores.weaviate import WeaviateStore
from router_ml.types.arrays import FloatArray

PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "vector-stores.md"
KINDS = ("qdrant memory", "qdrant folder", "lance", "pinecone", "weaviate")


def unit(n: int, *, random_state: int) -> FloatArray:
    rows = np.random.default_rng(random_state).normal(size=(n, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


class Index:
    """As a Pinecone index would answer; its calls must fit the real client's."""

    def __init__(self) -> None:
        self.rows: dict[str, list[float]] = {}

    def upsert(self, **given: Any) -> None:
        inspect.signature(pinecone.Index.upsert).bind(self, **given)
        self.rows |= {row["id"]: row["values"] for row in given["vectors"]}

    def query(self, **given: Any) -> Any:
        inspect.signature(pinecone.Index.query).bind(self, **given)
        score = {i: float(np.dot(row, given["vector"])) for i, row in self.rows.items()}
        best = sorted(score, key=lambda i: -score[i])[: given["top_k"]]
        return SimpleNamespace(matches=[SimpleNamespace(id=i, score=score[i]) for i in best])


class Collection:
    """As a Weaviate collection would answer; its calls must fit the real client's."""

    def __init__(self) -> None:
        self.data = self.query = self
        self.rows: dict[Any, Any] = {}

    def insert_many(self, objects: Any) -> None:
        inspect.signature(_DataCollection.insert_many).bind(self, objects)
        self.rows |= {item.uuid: item for item in objects}

    def near_vector(self, **given: Any) -> Any:
        inspect.signature(_QueryCollection.near_vector).bind(self, **given)
        far = {i: 1 - float(np.dot(o.vector, given["near_vector"])) for i, o in self.rows.items()}
        found = [
            SimpleNamespace(
                properties=self.rows[i].properties, metadata=SimpleNamespace(distance=far[i])
            )
            for i in sorted(far, key=far.__getitem__)[: given["limit"]]
        ]
        return SimpleNamespace(objects=found)


def store(kind: str, folder: Path) -> VectorStore:
    if kind == "qdrant memory":
        return QdrantStore(client=QdrantClient(":memory:"))
    if kind == "qdrant folder":
        return QdrantStore(client=QdrantClient(path=str(folder / "qdrant")))
    if kind == "lance":
        return LanceStore(database=lancedb.connect(folder / "lance"))
    return (
        PineconeStore(index=Index())
        if kind == "pinecone"
        else WeaviateStore(collection=Collection())
    )


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_the_process(kind: str, tmp_path: Path) -> None:
    vectors, asked = unit(700, random_state=0), unit(20, random_state=1)
    here, there = InProcessStore(), store(kind, tmp_path)
    here.add(vectors)
    there.add(unit(50, random_state=9))
    there.add(vectors)  # replaces
    want, got = here.nearest(asked, 12), there.nearest(asked, 12)
    np.testing.assert_array_equal(got.rows, want.rows)
    np.testing.assert_allclose(got.cosine, want.cosine, atol=2e-6)


def test_a_table_is_found_again(tmp_path: Path) -> None:
    vectors = unit(30, random_state=0)
    LanceStore(database=lancedb.connect(tmp_path)).add(vectors)
    again = LanceStore(database=lancedb.connect(tmp_path)).nearest(vectors[:2], 1)
    assert again.rows.tolist() == [[0], [1]]


def test_the_pages_code_predicts_what_the_process_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    estimator, rng = KNNEstimator(), np.random.default_rng(0)
    estimator.prototypes_ = unit(300, random_state=0)
    estimator.mass_ = np.ones((300, 2), dtype=np.float32)
    estimator.values_ = rng.normal(size=(300, 2)).astype(np.float32)
    names: dict[str, Any] = {"estimator": estimator, "embeddings": unit(5, random_state=1)}
    [block] = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile(block, "vector-stores.md", "exec"), names)
    here = StoredKNN(estimator=estimator, store=InProcessStore(), k=100)
    np.testing.assert_allclose(names["knn"].effects(names["embeddings"]), names["effects"])
    np.testing.assert_allclose(names["effects"], here.effects(names["embeddings"]), atol=1e-5)
    names["store"].client.close()
