"""Requests of the log, with their text, against what training saw."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from pipelines.monitor.clusters import QueryClusters
from pipelines.monitor.segments import query_of
from router_ml.evaluation.segmentation import languages
from router_ml.features.lexical import NAMES, lexical_values
from router_ml.features.query import Query
from router_ml.monitoring.alarm import Alarm
from router_ml.monitoring.monitor import Monitor
from router_ml.monitoring.stream import Times
from router_ml.monitoring.traffic import tool_names

_SESSIONS: Final = 20_000
"""Sessions that are remembered: of each the first request counts, for its turns are alike."""


class TrafficWatch:
    """Feeds properties of requests to monitors.

    Parameters
    ----------
    clusters : of the bundle whose reference is held against the requests that it decided
    """

    def __init__(self, clusters: QueryClusters) -> None:
        self.clusters = clusters
        self.bundle = clusters.bundle
        self._sessions: deque[str] = deque(maxlen=_SESSIONS)
        self._known: set[str] = set()

    def take(self, monitor: Monitor, rows: Sequence[Mapping[str, Any]]) -> list[Alarm]:
        """Rows of decisions, in their order; requests without text say nothing."""
        queries, times, taken = [], [], []
        for row in rows:
            query = query_of(row)
            if query is not None and self._is_first(row.get("session_id")):
                queries.append(query)
                times.append(str(row["time"]).removesuffix("Z"))
                taken.append(row)
        if not queries:
            return []
        named = self.clusters.of(taken)
        clusters = [named.get(str(row["decision_id"]), "") for row in taken]
        return self._tell(monitor, queries, np.array(times, dtype="datetime64[us]"), clusters)

    def _tell(
        self, monitor: Monitor, queries: list[Query], time: Times, clusters: list[str]
    ) -> list[Alarm]:
        reference = self.clusters.reference
        shares = {}
        for kind in reference.kinds:
            if kind == "lexical":
                values = np.array([lexical_values(query) for query in queries])
                shares[kind] = reference.of_lexical(NAMES, values)
            elif kind == "language":
                shares[kind] = reference.of_languages(languages(queries))
            elif kind == "tools":
                shares[kind] = reference.of_tools([tool_names(query) for query in queries])
            elif all(clusters):
                shares[kind] = reference.of_clusters(clusters)
        found: list[Alarm] = []
        for kind, of_kind in shares.items():
            found += monitor.traffic(kind, time, of_kind, len(shares))
        return found

    def _is_first(self, session: Any) -> bool:
        if session is None:
            return True
        name = str(session)
        if name in self._known:
            return False
        if len(self._sessions) == _SESSIONS:
            self._known.discard(self._sessions[0])
        self._sessions.append(name)
        self._known.add(name)
        return True

    def state(self) -> list[str]:
        """Sessions that were seen."""
        return list(self._sessions)

    def load(self, sessions: Sequence[str]) -> None:
        """Go on where another was."""
        self._sessions.extend(sessions)
        self._known = set(self._sessions)
