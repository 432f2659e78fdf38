"""Which tools the requests of a joined log offer, and how often they offer new ones."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import orjson

from router_ml.features.query import parse_query
from router_ml.learning.reference import known_tools
from router_ml.monitoring.traffic import tool_names

_MOST: Final = 50_000
"""Requests that are counted, about, of a longer log: its sessions are drawn by their hash."""
_EARLIER: Final = 0.8
"""Share of the log's requests whose tools the later ones are held against."""
_ROWS: Final = "SELECT count(*) FROM read_parquet($outcomes, hive_partitioning = false)"
_COUNTS: Final = """
WITH drawn AS (
    SELECT tools, time, coalesce(session_id, request_id) AS session
    FROM read_parquet($outcomes, hive_partitioning = false) WHERE hash(session) % $every = 0
)
SELECT tools,
       count(DISTINCT session) FILTER (time <= later) AS earlier,
       count(DISTINCT session) FILTER (time > later) AS since
FROM drawn, (SELECT quantile_disc(time, $earlier) AS later FROM drawn)
GROUP BY tools ORDER BY tools NULLS FIRST
"""


def logged_tools(outcomes: Path) -> tuple[list[str], float | None]:
    """Tools of a join's outcomes, of either split: see :func:`known_tools`.

    A session counts once with each list of tools, as the monitor counts its first request. What is
    kept for the test is traffic, too, and comes again.
    """
    with duckdb.connect() as connection:
        file = {"outcomes": glob.escape(str(outcomes))}
        n = connection.execute(_ROWS, file).fetchall()[0][0]
        values = file | {"every": n // _MOST + 1, "earlier": _EARLIER}
        rows = connection.execute(_COUNTS, values).fetchall()
    offered = [
        [] if tools is None else tool_names(parse_query("", orjson.loads(tools)))
        for tools, _, _ in rows
    ]
    asked = np.array([counts for _, *counts in rows], dtype=float).reshape(-1, 2)
    return known_tools(offered, asked)
