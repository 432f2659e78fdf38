"""Made-up queries, labels and predictions in which there is something to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from router_ml.data.preferences import Preferences
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch, Tokens

N_TOKENS: Final = 60
"""Token ids of example batches are below this; 0 pads."""


def example_batch(n: int, *, random_state: int = 0, n_dims: int = 8) -> QueryBatch:
    """Made-up queries whose tokens, lexical columns and embedding tell how hard each one is.

    Examples
    --------
    >>> len(example_batch(3)), example_batch(3).embedding.shape
    (3, (3, 8))
    """
    rng = np.random.default_rng(random_state)
    hard = rng.random(n)
    rows = [
        [int(t) for t in rng.integers(1, N_TOKENS // 2, size) + (rng.random(size) < h) * 29]
        for h, size in zip(hard, rng.integers(3, 30, n), strict=True)
    ]
    embedding = rng.standard_normal((n, n_dims))
    embedding[:, 0] += 4.0 * (hard - 0.5)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    lexical = rng.random((n, len(NAMES)))
    lexical[:, 1] += hard
    return QueryBatch(
        text=tuple(" ".join(map(str, row)) for row in rows),
        tools=("",) * n,
        tokens=Tokens.from_rows(rows),
        lexical=lexical.astype(np.float32),
        embedding=embedding.astype(np.float32),
    )


def example_candidates(k: int) -> CandidateTable:
    """Candidates named ``c0`` to ``c<k-1>``, each twice as dear as the one before."""
    return CandidateTable.from_prices({f"c{j}": (0.1 * 2.0**j, 0.4 * 2.0**j) for j in range(k)})


def example_labels(queries: QueryBatch, k: int, *, random_state: int = 1) -> FloatArray:
    """Zero or one, shape (n, k): dearer candidates fail less on the hard queries."""
    hard = queries.embedding[:, :1] * 0.5 + 0.5
    ability = np.linspace(0.2, 0.9, k)
    chance = np.clip(1.0 - hard * (1.0 - ability) * 1.3, 0.02, 0.98)
    rng = np.random.default_rng(random_state)
    return (rng.random(chance.shape) < chance).astype(float)


def example_predictions(n: int, k: int = 4, *, random_state: int = 0) -> Predictions:
    """Made-up predictions with standard errors, without ties."""
    rng = np.random.default_rng(random_state)
    quality, spread = rng.random((n, k)), 0.02 + 0.1 * rng.random((n, k))
    sent, got = (rng.integers(10, 2000, (n, k)).astype(float) for _ in range(2))
    return Predictions(quality, sent, got, rng.random((n, k)) * 1000.0, spread)


def example_pairs(rows: Sequence[tuple[int, int, str]], *, k: int = 2) -> Preferences:
    """Comparisons ``(a, b, winner)``, each of a query of its own.

    Examples
    --------
    >>> example_pairs([(0, 1, "a"), (1, 0, "tie")]).lead.tolist()
    [1.0, 0.0]
    """
    ids = np.array([f"pair-{i}" for i in range(len(rows))])
    return Preferences(
        queries=tuple(Query(name) for name in ids.tolist()),
        query_id=ids,
        group_id=ids,
        candidates=example_candidates(k).names,
        a=np.array([a for a, _, _ in rows], dtype=np.int64),
        b=np.array([b for _, b, _ in rows], dtype=np.int64),
        winner=np.array([winner for _, _, winner in rows]),
        weight=np.ones(len(rows)),
        split=np.full(len(rows), "train"),
    )
