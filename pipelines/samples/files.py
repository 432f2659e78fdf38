"""Write every sample."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd

from pipelines.samples import formats, labels
from pipelines.samples.world import Request, SampleWorld, function, sample_world
from router_ml.data.synthetic_log import price_map
from router_ml.features.query import parse_query, query_id

DUPLICATES: Final = 4
ORPHANS: Final = 3
"""Labels that stand there twice, and labels of requests that do not exist, as in any log."""
MAPPING: Final = """\
# How export.csv, thumbs.csv and prices.csv are to be read; drafted by router-ml inspect.
join:
  request_fields:
    request_id: id
    time: ts
    query: user_prompt
    candidate_served: model_name
    input_tokens: usage_in
    output_tokens: usage_out
    cost_usd: usd
    latency_s: seconds
  label_ranges:
    vote: [-1, 1]
  price_fields:
    candidate: model
    input_usd_per_mtok: input per 1M
    output_usd_per_mtok: output per 1M
  price_names:
    atlas-nano: atlas/atlas-nano
    atlas-medium: atlas/atlas-medium
    delta-max: delta/delta-max
labels:
- files: [thumbs.csv]
  fields: {request_id: completion_id, value: vote, time: when}
  name: vote
  source: user
"""


def write_samples(folder: Path) -> Path:
    """Write all samples to ``folder``; the same bytes every time.

    Files: request logs in every shape, ``export.csv`` in one of nobody's, ``requests.parquet`` in
    the canonical one; labels and prices beside them; ``matrix.parquet``, every candidate's outcome
    on every prompt; ``scores.csv``, the same as a table of scores.

    Returns
    -------
    ``folder``
    """
    world = sample_world()
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in formats.JSON_LINES.items():
        _json_lines(folder / name, map(shape, world.requests))
    steps = (step(r) for r in world.requests for step in (formats.decision, formats.outcome))
    _json_lines(folder / "decisions.jsonl.gz", steps)
    _csv(folder / "export.csv", [formats.export_row(r) for r in world.requests])
    _canonical(world).to_parquet(folder / "requests.parquet", index=False)
    _write_labels(folder, world.requests)
    _write_prices(folder, world)
    _write_truth(folder, world)
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return folder


def _json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _canonical(world: SampleWorld) -> pd.DataFrame:
    return pd.DataFrame([
        {
            "request_id": r.request_id,
            "time": pd.Timestamp(r.time).tz_localize(None),
            "user_id": r.user,
            "candidate_served": r.candidate,
            "eligible": list(r.propensities),
            "propensity": r.propensities[r.candidate],
            "action_probs": list(r.propensities.values()),
            "query": r.text,
            "tools": orjson.dumps(list(r.tools)).decode() if r.tools else None,
            "answer": r.answer,
            "input_tokens": r.input_tokens,
            "output_tokens": r.output_tokens,
            "cost_usd": r.cost_usd,
            "latency_ms": 1e3 * r.latency_s,
        }
        for r in world.requests
    ])  # fmt: skip


def _write_labels(folder: Path, requests: Sequence[Request]) -> None:
    judged = [r for r in requests if r.label is not None]
    for name, shape in labels.LABEL_LINES.items():
        _json_lines(folder / name, map(shape, judged))
    rows = [
        {"request_id": r.request_id, "name": name, "value": value, "source": source,
         "weight": 1, "time": r.label_time.isoformat(timespec="milliseconds")}
        for r in requests
        for name, value, source in (
            ("correct", r.label, "checker"),
            ("thumbs", None if r.thumb is None else (r.thumb + 1) // 2, "user"),
        )
        if value is not None
    ]  # fmt: skip
    rows += rows[:DUPLICATES]
    rows += [{**row, "request_id": f"gone-{i}"} for i, row in enumerate(rows[:ORPHANS])]
    _csv(folder / "labels.csv", rows)
    _csv(folder / "thumbs.csv", [
        {"completion_id": r.request_id, "vote": r.thumb,
         "when": r.label_time.isoformat(timespec="milliseconds")}
        for r in requests
        if r.thumb is not None
    ])  # fmt: skip


def _write_prices(folder: Path, world: SampleWorld) -> None:
    table = world.candidates
    (folder / "prices.json").write_bytes(
        orjson.dumps(price_map(table), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    _csv(folder / "prices.csv", [
        {"model": f"{name.partition('-')[0]}/{name}",
         "input per 1M": f"{table.input_usd_per_mtok[k]:.6g}",
         "output per 1M": f"{table.output_usd_per_mtok[k]:.6g}"}
        for k, name in enumerate(table.names)
    ])  # fmt: skip


def _write_truth(folder: Path, world: SampleWorld) -> None:
    queries, names = world.queries, world.candidates.names
    tools = [[function(*tool) for tool in offered] for offered in queries.tools]
    ids = [query_id(parse_query(text, tool or None))
           for text, tool in zip(queries.text, tools, strict=True)]  # fmt: skip
    rows = np.sort(np.unique(ids, return_index=True)[1])
    k = len(names)
    pd.DataFrame({
        "query_id": np.repeat([ids[q] for q in rows], k),
        "prompt": np.repeat([queries.text[q] for q in rows], k),
        "tools": np.repeat([orjson.dumps(tools[q]).decode() for q in rows], k),
        "candidate": list(names) * len(rows),
        "answer": [answer for q in rows for answer in world.answers[q]],
        "correct": queries.quality[rows].astype(bool).ravel(),
        "input_tokens": queries.input_tokens[rows].astype(np.int64).ravel(),
        "output_tokens": queries.output_tokens[rows].astype(np.int64).ravel(),
        "latency_s": (queries.latency_ms[rows] / 1e3).ravel(),
        "cost_usd": queries.cost_usd[rows].ravel(),
    }).to_parquet(folder / "matrix.parquet", index=False)  # fmt: skip
    _csv(folder / "scores.csv", [
        {"prompt": queries.text[q],
         **{name: int(queries.quality[q, j]) for j, name in enumerate(names)},
         **{f"usd {name}": f"{queries.cost_usd[q, j]:.8f}" for j, name in enumerate(names)}}
        for q in rows
    ])  # fmt: skip
