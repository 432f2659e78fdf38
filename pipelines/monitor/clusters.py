"""Which kind of query a logged decision is of, by the clusters that its bundle's training found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.monitor.segments import query_of
from router_ml.monitoring.traffic import TrafficReference
from router_ml.runtime.runtime import Runtime


class QueryClusters:
    """Names clusters of requests that one bundle decided.

    Parameters
    ----------
    runtime : of the bundle; one without embeddings or clusters names none
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.reference = TrafficReference(runtime.manifest.reference)

    def of(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Decision id to cluster, of decisions of this bundle whose text the log has."""
        if "cluster" not in self.reference.kinds:
            return {}
        bundle, queries = self.runtime.manifest.bundle_id, {}
        for row in rows:
            if row["kind"] == "decision" and row["bundle_id"] == bundle:
                query = query_of(row)
                if query is not None:
                    queries[str(row["decision_id"])] = query
        embedding = self.runtime.embeddings(list(queries.values())) if queries else None
        if embedding is None:
            return {}
        return dict(zip(queries, self.reference.clusters(embedding), strict=True))
