"""Write the synthetic world as the files a user has: request log, labels, prices, and the truth."""

from __future__ import annotations

import csv
import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.data.synthetic import SyntheticLog, SyntheticQueries, SyntheticWorld
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import TOKENS_PER_MTOK, CandidateTable

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
MEAN_GAP_S = 10.0
"""Mean time between two requests; arrivals are a Poisson process."""
USERS = 250
THUMBS_SHARE = (0.06, 0.25)
"""Share of right and of wrong answers that a user rates: not missing at random."""
THUMBS_NOISE = 0.15
DUPLICATES, ORPHANS = 20, 10


def write_world(
    folder: Path,
    *,
    n_queries: int = 3_000,
    n_requests: int = 12_000,
    n_candidates: int = 8,
    label_share: float = 0.55,
    random_state: int = 0,
) -> Path:
    """Generate a world, log it under a covariate-driven policy, and write it to ``folder``.

    Files, in the shapes that users have: ``requests.jsonl.gz`` (LiteLLM StandardLoggingPayload),
    ``labels.csv`` (``exact_match`` from a checker, missing at random given what is logged;
    ``thumbs`` from users, noisy and not missing at random; a few duplicates and orphans),
    ``prices.json`` (LiteLLM price map), and for judging only ``matrix.parquet``: every prompt times
    every candidate, with ``quality_prob``, the probability that the answer is right.

    Returns
    -------
    ``folder``
    """
    world = SyntheticWorld(n_candidates=n_candidates, random_state=random_state)
    seeds = np.random.SeedSequence(random_state).generate_state(3)
    queries = world.sample(n_queries, random_state=int(seeds[0]))
    log = world.log(
        queries,
        n_requests=n_requests,
        label_share=label_share,
        missing="mar",
        random_state=int(seeds[1]),
    )
    rng = np.random.default_rng(seeds[2])
    arrival_s = np.cumsum(rng.exponential(MEAN_GAP_S, size=n_requests))
    answers = written_answers(queries, rng)
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "requests.jsonl.gz", "wb", compresslevel=5) as file:
        for i in range(n_requests):
            row = _request(i, queries, log, world.candidates, float(arrival_s[i]), answers)
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    _write_labels(folder / "labels.csv", queries, log, arrival_s, rng)
    (folder / "prices.json").write_bytes(
        orjson.dumps(price_map(world.candidates), option=orjson.OPT_INDENT_2)
    )
    pq.write_table(_matrix(queries, world.candidates, answers), folder / "matrix.parquet")
    return folder


def price_map(candidates: CandidateTable) -> dict[str, dict[str, Any]]:
    """Prices as LiteLLM writes them: US dollars per token."""
    return {
        name: {
            "max_input_tokens": int(candidates.context_window[k]),
            "max_output_tokens": int(candidates.max_output_tokens[k]),
            "input_cost_per_token": float(candidates.input_usd_per_mtok[k]) / TOKENS_PER_MTOK,
            "output_cost_per_token": float(candidates.output_usd_per_mtok[k]) / TOKENS_PER_MTOK,
            "litellm_provider": candidates.provider[k],
            "mode": "chat",
        }
        for k, name in enumerate(candidates.names)
    }


def _request(
    i: int,
    queries: SyntheticQueries,
    log: SyntheticLog,
    candidates: CandidateTable,
    arrival_s: float,
    answers: list[list[str]],
) -> dict[str, Any]:
    """One row of the request log."""
    q, k = int(log.query[i]), int(log.action[i])
    begin = START.timestamp() + arrival_s
    seconds = round(float(queries.latency_ms[q, k]) / 1e3, 4)
    prompt, completion = int(queries.input_tokens[q, k]), int(queries.output_tokens[q, k])
    tools = [_function(name, description) for name, description in queries.tools[q]]
    return {
        "id": f"req-{i:06d}",
        "call_type": "acompletion",
        "model": candidates.names[k],
        "model_group": "auto",
        "status": "success",
        "startTime": begin,
        "endTime": begin + seconds,
        "response_time": seconds,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "response_cost": None,
        "cache_hit": False,
        "end_user": f"user-{int(queries.group_id[q]) % USERS:03d}",
        "messages": [{"role": "user", "content": queries.text[q]}],
        "response": {"choices": [{"message": {"role": "assistant", "content": answers[q][k]}}]},
        "model_parameters": {"tools": tools} if tools else {},
        "metadata": {
            "query_id": _query_id(queries, q),
            "router": {
                "policy": "rules-v1",
                "propensity": round(float(log.action_probs[i, k]), 6),
                "candidates": list(candidates.names),
            },
        },
    }


def _function(name: str, description: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"input": {"type": "string"}}}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def _query_id(queries: SyntheticQueries, q: int) -> str:
    return hashlib.sha256(f"{queries.text[q]}\n{queries.tools[q]}".encode()).hexdigest()[:12]


def written_answers(queries: SyntheticQueries, rng: np.random.Generator) -> list[list[str]]:
    """Answers that hedge more often when they are wrong, so that an answer scorer can learn."""
    hedged = rng.random(queries.quality.shape) < np.where(queries.quality == 1.0, 0.15, 0.7)
    return [
        [
            ("I am not certain, but roughly: " if hedge else "Here is the answer: ") + text[:60]
            for hedge in row
        ]
        for text, row in zip(queries.text, hedged.tolist(), strict=True)
    ]


def _write_labels(
    path: Path,
    queries: SyntheticQueries,
    log: SyntheticLog,
    arrival_s: FloatArray,
    rng: np.random.Generator,
) -> None:
    """Checker and user labels, with duplicates and labels of requests that do not exist."""
    rows: list[tuple[str, str, int, str, float, str]] = []
    truth = queries.quality[log.query, log.action].astype(int)
    delay_s = rng.exponential(1_800.0, size=len(log))
    rates = rng.random(len(log)) < np.where(truth == 1, *THUMBS_SHARE)
    thumbs = np.where(rng.random(len(log)) < THUMBS_NOISE, 1 - truth, truth)
    for i in range(len(log)):
        time = (START + timedelta(seconds=float(arrival_s[i] + delay_s[i]))).isoformat()
        if np.isfinite(log.quality[i]):
            rows.append((f"req-{i:06d}", "exact_match", int(truth[i]), "checker", 1.0, time))
        if rates[i]:
            rows.append((f"req-{i:06d}", "thumbs", int(thumbs[i]), "user", 1.0, time))
    again = rng.choice(len(rows), size=min(DUPLICATES, len(rows)), replace=False)
    rows += [rows[i] for i in again]
    rows += [(f"gone-{i:06d}", *rows[i][1:]) for i in range(min(ORPHANS, len(rows)))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("request_id", "name", "value", "source", "weight", "time"))
        writer.writerows(rows)


def _matrix(
    queries: SyntheticQueries, candidates: CandidateTable, answers: list[list[str]]
) -> pa.Table:
    """Full information, one row per prompt and candidate; a repeated prompt is kept once."""
    ids = [_query_id(queries, q) for q in range(len(queries))]
    rows = np.sort(np.unique(ids, return_index=True)[1])
    k = len(candidates)
    offered = [orjson.dumps([_function(*tool) for tool in queries.tools[q]]).decode() for q in rows]
    return pa.table(
        {
            "query_id": np.repeat([ids[q] for q in rows], k),
            "prompt": np.repeat([queries.text[q] for q in rows], k),
            "tools": np.repeat(offered, k),
            "candidate": list(candidates.names) * len(rows),
            "answer": [answer for q in rows for answer in answers[q]],
            "correct": queries.quality[rows].astype(bool).ravel(),
            "quality_prob": queries.quality_prob[rows].ravel(),
            "input_tokens": queries.input_tokens[rows].astype(np.int64).ravel(),
            "output_tokens": queries.output_tokens[rows].astype(np.int64).ravel(),
            "latency_s": (queries.latency_ms[rows] / 1e3).ravel(),
            "cost_usd": queries.cost_usd[rows].ravel(),
        }
    )
