"""What training saw of requests, as the manifest keeps it for drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from router_ml.evaluation.segmentation import group_names, languages
from router_ml.features.lexical import NAMES
from router_ml.learning.training_set import TrainingSet
from router_ml.monitoring.traffic import (
    HIGH,
    TrafficReference,
    cluster_reference,
    shares_of,
)
from router_ml.types.arrays import FloatArray

_QUERIES: Final = 3_000
_LEVELS: Final = (0.01, 0.1, 0.25, 0.5, 0.75, HIGH, 0.99)


def reference_statistics(data: TrainingSet) -> dict[str, Any]:
    """Quantiles of lexical columns and tokens, shares of languages and clusters.

    Of the queries that began a session or came without one, as the monitor counts them. Quantiles
    are of distinct queries; every share is of requests. Clusters are named by the words that tell
    them apart. Languages and clusters are of some thousand queries.
    """
    asked = np.ones(len(data)) if data.begun is None else data.begun
    rows = np.flatnonzero(asked)
    some = np.sort(np.random.default_rng(0).permutation(rows)[:_QUERIES])
    lexical, weight = data.batch.lexical[rows], asked[some]
    quantiles = np.quantile(lexical, _LEVELS, axis=0)
    above = asked[rows] @ (lexical > quantiles[_LEVELS.index(HIGH)]) / asked.sum()
    embedding = data.batch.embedding[some]
    clusters = cluster_reference(embedding, weight)
    code = np.array(TrafficReference({"clusters": clusters}).clusters(embedding), dtype=np.int64)
    clusters["names"] = group_names([data.queries[i] for i in some], code, len(clusters["shares"]))
    return {
        "quantile_levels": list(_LEVELS),
        "lexical": {name: quantiles[:, i].tolist() for i, name in enumerate(NAMES)},
        "lexical_above": dict(zip(NAMES, np.round(above, 4).tolist(), strict=True)),
        "tokens": np.quantile(data.batch.tokens.lengths[rows], _LEVELS).tolist(),
        "languages": shares_of(languages([data.queries[i] for i in some]), weight),
        "clusters": clusters,
    }


def known_tools(
    offered: Sequence[Collection[str]], asked: FloatArray, *, most: int = 2_000
) -> tuple[list[str], float | None]:
    """Tools that are asked with most often, sorted, and the share of requests that offer another.

    The share is that of the later requests against the tools of the earlier ones: tenants and
    sessions come with tools of their own, so requests are not independent of each other.

    Parameters
    ----------
    offered : n lists of names
    asked : earlier and later requests with each, shape (n, 2); without later ones the share is not
        known

    Examples
    --------
    >>> known_tools([["search"], ["search", "pay"], []], np.array([[2.0, 0.0], [0.0, 1.0], [0, 1]]))
    (['pay', 'search'], 0.5)
    """
    tools = _most_asked(offered, asked.sum(axis=1), most)
    later = asked[:, 1]
    if not later.any():
        return sorted(tools), None
    known = set(_most_asked(offered, asked[:, 0], most))
    new = np.array([not known.issuperset(names) for names in offered], dtype=float)
    return sorted(tools), round(float(new @ later / later.sum()), 4)


def _most_asked(
    offered: Sequence[Collection[str]], requests: FloatArray, most: int
) -> Sequence[str]:
    asked: Counter[str] = Counter()
    for names, n in zip(offered, requests.tolist(), strict=True):
        asked.update(dict.fromkeys(names, n))
    return [name for name, n in asked.most_common(most) if n]
