"""Which kind of query a logged decision is of, by the clusters that its bundle's training found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.monitor.segments import query_of
from router_ml.features.query import Query, query_id
from router_ml.monitoring.traffic import TrafficReference
from router_ml.runtime.runtime import Runtime

_KNOWN: Final = 20_000
"""Queries whose cluster is remembered at most, so that none is embedded again soon."""


class QueryClusters:
    """Names clusters of requests that one bundle decided.

    Parameters
    ----------
    runtime : of the bundle; one without embeddings or clusters names none
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.bundle = runtime.manifest.bundle_id
        self.reference = TrafficReference(runtime.manifest.reference)
        self._known: dict[str, str] = {}

    def of(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Decision id to cluster, of decisions of this bundle whose text the log has."""
        if "cluster" not in self.reference.kinds:
            return {}
        asked: dict[str, str] = {}
        queries: dict[str, Query] = {}
        for row in rows:
            if row["kind"] == "decision" and row["bundle_id"] == self.bundle:
                query = query_of(row)
                if query is not None:
                    key = asked[str(row["decision_id"])] = query_id(query)
                    queries[key] = query
        if not self._learn({k: query for k, query in queries.items() if k not in self._known}):
            return {}
        found = {decision: self._known[key] for decision, key in asked.items()}
        for key in [*self._known][: max(0, len(self._known) - _KNOWN)]:
            del self._known[key]
        return found

    def _learn(self, queries: Mapping[str, Query]) -> bool:
        """Remember whose cluster is not known yet; whether the bundle can say it."""
        if not queries:
            return True
        embedding = self.runtime.embeddings([*queries.values()])
        if embedding is None:
            return False
        self._known |= zip(queries, self.reference.clusters(embedding), strict=True)
        return True
