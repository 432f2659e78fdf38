"""Quality by neighbours that a vector store finds, as the ``knn`` estimator has it."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.estimators.knn import KNNEstimator
from router_ml.integrations.vector_stores.store import VectorStore
from router_ml.types.arrays import FloatArray

_CHUNK: Final = 256


class StoredKNN:
    r"""A fitted :class:`router_ml.estimators.knn.KNNEstimator` whose prototypes are in a store.

    The estimator's kernel sums over every prototype; here over the k nearest, since a prototype at
    cosine :math:`c` weighs :math:`e^{(c - 1) / \tau}` and far ones next to nothing.

    Parameters
    ----------
    estimator : fitted; its prototypes are added to the store
    store : see :class:`router_ml.integrations.vector_stores.store.VectorStore`
    k : neighbours that are summed over, >= 1
    """

    def __init__(self, *, estimator: KNNEstimator, store: VectorStore, k: int = 100) -> None:
        self.estimator = estimator
        self.store = store
        self.k = k
        store.add(estimator.prototypes_)

    def effects(self, embedding: FloatArray) -> FloatArray:
        """Effect of every candidate, shape (n_samples, K), from embeddings (n_samples, dims)."""
        of = self.estimator
        out = np.zeros((len(embedding), of.values_.shape[1]))
        for start in range(0, len(embedding), _CHUNK):
            part = slice(start, start + _CHUNK)
            found = self.store.nearest(embedding[part], self.k)
            near = np.exp((found.cosine - 1.0) / of.temperature)[..., None]
            total = (near * of.values_[found.rows]).sum(axis=1)
            mass = (near * of.mass_[found.rows]).sum(axis=1)
            out[part] = total / (mass + of.floor)
        return out
