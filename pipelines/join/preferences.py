"""Comparisons of candidates among the labels: which files hold them, and what becomes of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import JoinConfig, LabelFile
from pipelines.join.sources import preferences as pairs
from pipelines.join.sources.files import expand
from pipelines.join.sources.inputs import hash_bound, now
from pipelines.join.sources.staging import arrow_schema
from pipelines.join.sources.tasks import reading_of, records_of
from router_ml.data.schemas import PREFERENCES, REJECTS
from router_ml.features.query import group_id, parse_query, query_id

Requests = Mapping[str, Mapping[str, Any]]
Lookup = Callable[[set[str]], Requests]


@dataclass(slots=True)
class Found:
    """Comparisons that can be used, and what became of the others.

    Parameters
    ----------
    rows : as ``preferences.parquet`` has them
    rejects : as ``rejects.parquet`` has them
    read, used : records read, and used
    collapsed, excluded, rejected : reason -> records
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    collapsed: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def summary(self) -> list[dict[str, Any]]:
        """Comparisons by pair of candidates: how many, and how they ended."""
        ended: dict[tuple[str, str], Counter[str]] = {}
        for row in self.rows:
            pair = (row["candidate_a"], row["candidate_b"])
            if pair[0] > pair[1]:
                pair = (pair[1], pair[0])
            winner = row["winner"]
            if winner in ("a", "b"):
                winner = row[f"candidate_{winner}"]
            ended.setdefault(pair, Counter())[winner] += 1
        return [
            {
                "first": first,
                "second": second,
                "comparisons": sum(ends.values()),
                "first_better": ends[first],
                "second_better": ends[second],
                "tie": ends["tie"],
                "both_bad": ends["both_bad"],
            }
            for (first, second), ends in sorted(ended.items())
        ]


def find_preferences(
    config: JoinConfig, lookup: Lookup, *, priced: set[str], tests: set[str]
) -> Found:
    """Read every file of comparisons among a join's labels.

    Parameters
    ----------
    lookup : ids of requests -> query, messages and tools of those that are used
    priced : candidates with a price; comparisons with others are left out
    tests : groups of the test split
    """
    found, seen = Found(), set[bytes]()
    for item, path in preference_files(config):
        fields = pairs.with_overrides(item.fields)
        rows = pairs.preference_rows(
            records_of(path, config), fields, reading=reading_of(config), source=item.source
        )
        read = list(rows)
        named = {row["request_id"] for row in read if not row.get("prompt", True)}
        requests = lookup(named - {None, ""})
        for row in read:
            found.read += 1
            fate, reason = _fate(row, config, requests, priced)
            if fate == "rejected":
                found.rejected[reason] += 1
                found.rejects.append(_reject(row, path, reason))
            elif fate == "excluded":
                found.excluded[reason] += 1
            else:
                made = _made(row, requests, config, tests)
                key = orjson.dumps({k: v for k, v in made.items() if k != "split"})
                if key in seen:
                    found.collapsed["duplicate"] += 1
                    continue
                seen.add(key)
                found.rows.append(made)
    return found


def preference_files(config: JoinConfig) -> Iterator[tuple[LabelFile, Path]]:
    """Files among the labels whose columns compare two candidates."""
    for item in config.labels:
        files = item if isinstance(item, LabelFile) else LabelFile(files=(item,))
        for path in expand(files.files, "labels"):
            if pairs.holds_pairs(path, files.fields, config.csv_encoding):
                yield files, path


def write_preferences(found: Found, path: Path, rejects: Path) -> None:
    """Write comparisons, and put what was rejected after the join's other rejects."""
    pq.write_table(pa.Table.from_pylist(found.rows, schema=arrow_schema(PREFERENCES)), path)
    if found.rejects:
        before = pq.read_table(rejects)
        mine = pa.Table.from_pylist(found.rejects, schema=arrow_schema(REJECTS))
        pq.write_table(pa.concat_tables([before, mine.cast(before.schema)]), rejects)


def _fate(
    row: Mapping[str, Any],
    config: JoinConfig,
    requests: Requests,
    priced: set[str],
) -> tuple[str, str]:
    if "problem" in row:
        return "rejected", str(row["problem"])
    if row["source"] not in config.label_sources:
        return "rejected", "unknown_source"
    if not row["prompt"] and row["request_id"] not in requests:
        return "rejected", "no_request"
    if not {row["candidate_a"], row["candidate_b"]} <= priced:
        return "excluded", "no_price"
    if row["time"] is not None and row["time"] > (config.as_of or now()):
        return "excluded", "after_as_of"
    return "used", ""


def _made(
    row: Mapping[str, Any],
    requests: Requests,
    config: JoinConfig,
    tests: set[str],
) -> dict[str, Any]:
    if row["prompt"]:
        messages = row["prompt"] if row["prompt"].startswith("[") else None
        tools = row["tools"]
    else:
        request = requests[row["request_id"]]
        messages, tools = (
            request["messages"]
            or orjson.dumps([{"role": "user", "content": request["query"]}]).decode(),
            request["tools"],
        )
    said = row["prompt"] if messages is None else orjson.loads(messages)
    query = parse_query(said, None if tools is None else orjson.loads(tools))
    group = group_id(query)
    return {
        "query_id": query_id(query),
        "group_id": group,
        "query": query.ask,
        "messages": messages,
        "tools": tools,
        **{key: row[key] for key in ("candidate_a", "candidate_b", "winner", "source", "time")},
        "weight": 1.0 if row["weight"] is None else row["weight"],
        "split": "test" if group in tests or _hashed_to_test(group, config) else "train",
    }


def _hashed_to_test(group: str, config: JoinConfig) -> bool:
    """As ``join.sql`` splits by group."""
    if config.split_by == "time":
        return False
    digest = hashlib.md5(f"{config.split_salt}:{group}".encode()).hexdigest()
    return digest[:8] < hash_bound(config.test_share)


def _reject(row: Mapping[str, Any], path: Path, reason: str) -> dict[str, Any]:
    return {
        "source": PREFERENCES.name,
        "file": str(path),
        "line": row["line"],
        "key": row.get("request_id"),
        "reason": reason,
        "detail": row.get("detail"),
        "row": row["raw"],
    }
