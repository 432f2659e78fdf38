"""What training saw of requests, as the manifest keeps it for drift."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from router_ml.evaluation.segmentation import group_names, languages
from router_ml.features.lexical import NAMES
from router_ml.learning.training_set import TrainingSet
from router_ml.monitoring.traffic import TrafficReference, cluster_reference, shares_of

_QUERIES: Final = 3_000
_TOOLS: Final = 2_000
_LEVELS: Final = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def reference_statistics(data: TrainingSet) -> dict[str, Any]:
    """Quantiles of lexical columns and tokens, shares of languages and clusters, names of tools.

    Clusters are named by the words that tell them apart. Languages and clusters are of some
    thousand queries, weighted by how often each was asked.
    """
    some = np.sort(np.random.default_rng(0).permutation(len(data))[:_QUERIES])
    weight = np.maximum(data.requests[some], 1.0)
    quantiles = np.quantile(data.batch.lexical, _LEVELS, axis=0)
    tools = {str(tool.get("name", "")) for query in data.queries for tool in query.tools}
    embedding = data.batch.embedding[some]
    clusters = cluster_reference(embedding, weight)
    code = np.array(TrafficReference({"clusters": clusters}).clusters(embedding), dtype=np.int64)
    clusters["names"] = group_names([data.queries[i] for i in some], code, len(clusters["shares"]))
    return {
        "quantile_levels": list(_LEVELS),
        "lexical": {name: quantiles[:, i].tolist() for i, name in enumerate(NAMES)},
        "tokens": np.quantile(data.batch.tokens.lengths, _LEVELS).tolist(),
        "languages": shares_of(languages([data.queries[i] for i in some]), weight),
        "tools": sorted(tools)[:_TOOLS],
        "clusters": clusters,
    }
