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
    tool_names,
)
from router_ml.types.arrays import FloatArray

_QUERIES: Final = 3_000
_LEVELS: Final = (0.01, 0.1, 0.25, 0.5, 0.75, HIGH, 0.99)


def reference_statistics(data: TrainingSet) -> dict[str, Any]:
    """Quantiles of lexical columns and tokens, shares of languages and clusters, names of tools.

    Quantiles are of distinct queries; every share is of requests, since requests are held against
    it. Clusters are named by the words that tell them apart. Languages and clusters are of some
    thousand queries.
    """
    some = np.sort(np.random.default_rng(0).permutation(len(data))[:_QUERIES])
    requests = np.maximum(data.requests, 1.0)
    weight = requests[some]
    quantiles = np.quantile(data.batch.lexical, _LEVELS, axis=0)
    above = requests @ (data.batch.lexical > quantiles[_LEVELS.index(HIGH)]) / requests.sum()
    tools, unseen = known_tools([tool_names(query) for query in data.queries], requests)
    embedding = data.batch.embedding[some]
    clusters = cluster_reference(embedding, weight)
    code = np.array(TrafficReference({"clusters": clusters}).clusters(embedding), dtype=np.int64)
    clusters["names"] = group_names([data.queries[i] for i in some], code, len(clusters["shares"]))
    return {
        "quantile_levels": list(_LEVELS),
        "lexical": {name: quantiles[:, i].tolist() for i, name in enumerate(NAMES)},
        "lexical_above": dict(zip(NAMES, np.round(above, 4).tolist(), strict=True)),
        "tokens": np.quantile(data.batch.tokens.lengths, _LEVELS).tolist(),
        "languages": shares_of(languages([data.queries[i] for i in some]), weight),
        "tools": tools,
        "tools_unseen": unseen,
        "clusters": clusters,
    }


def known_tools(
    offered: Sequence[Collection[str]], requests: FloatArray, *, most: int = 2_000
) -> tuple[list[str], float]:
    """Tools that are asked with most often, sorted, and the share of requests that offer another.

    The share is what one more request would find: of each request, whether one of its tools would
    not be among them but for itself (as the missing mass of Good, *The population frequencies of
    species*, 1953).

    Parameters
    ----------
    offered : names, by query
    requests : of each query, shape (n,)

    Examples
    --------
    >>> known_tools([["search"], ["search", "pay"], []], np.array([2.0, 1.0, 1.0]))
    (['pay', 'search'], 0.25)
    """
    asked: Counter[str] = Counter()
    for names, n in zip(offered, requests.tolist(), strict=True):
        for name in set(names):
            asked[name] += n
    order = sorted(asked, key=lambda name: (-asked[name], name))
    left_out = asked[order[most]] if len(order) > most else 0.0
    known = {name for name in order[:most] if asked[name] - 1.0 > left_out}
    new = np.array([not known.issuperset(names) for names in offered], dtype=float)
    return sorted(order[:most]), round(float(new @ requests / requests.sum()), 4)
