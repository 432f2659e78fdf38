"""Full-information workloads with the answers' text, for the cascade benchmark."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from router_ml.errors import SchemaError
from router_ml.features.query import Query, group_id, parse_query
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

BFCL: Final = "bfcl-12"
GSM8K: Final = "routellm-gsm8k"
_CALCULATOR: Final = re.compile(r"<<[^>]*>>")
_MTOK: Final = 1e6


@dataclass(frozen=True)
class CascadeData:
    """n queries by K candidates, everything known.

    Parameters
    ----------
    name : of the workload
    queries : n
    answers : n rows of K texts
    quality, cost_usd, latency_ms, input_tokens, output_tokens : shape (n, K)
    candidates : K
    groups : int codes, shape (n,), equal for equal prompts
    """

    name: str
    queries: Sequence[Query]
    answers: Sequence[Sequence[str]]
    quality: FloatArray
    cost_usd: FloatArray
    latency_ms: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    candidates: CandidateTable
    groups: IntArray

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def best_single(self) -> int:
        """Position of the candidate of the highest mean quality; ties go to the cheaper."""
        order = np.lexsort((self.cost_usd.mean(axis=0), -self.quality.mean(axis=0)))
        return int(order[0])


def load(name: str, folder: Path) -> CascadeData:
    """Read a workload from the data folder.

    Raises
    ------
    SchemaError
        If the file is not there, or a prompt lacks a candidate.
    """
    return {BFCL: _bfcl, GSM8K: _gsm8k}[name](folder)


def join(first: CascadeData, second: CascadeData) -> CascadeData:
    """Rows of both; groups of equal prompts stay equal."""
    if first.candidates.names != second.candidates.names:
        raise SchemaError(
            f"both parts must have the candidates {first.candidates.names}, "
            f"got {second.candidates.names}"
        )
    queries = [*first.queries, *second.queries]
    arrays = {
        key: np.concatenate([getattr(first, key), getattr(second, key)])
        for key in ("quality", "cost_usd", "latency_ms", "input_tokens", "output_tokens")
    }
    return CascadeData(
        name=first.name,
        queries=queries,
        answers=[*first.answers, *second.answers],
        candidates=first.candidates,
        groups=_groups(queries),
        **arrays,
    )


def _bfcl(folder: Path) -> CascadeData:
    columns = _read(folder / "bfcl" / "matrix.parquet")
    prices = json.loads((folder / "bfcl" / "prices.json").read_text(encoding="utf-8"))
    names = sorted(set(columns["candidate"]))
    cells: dict[str, dict[str, int]] = {}
    for row, (query, candidate) in enumerate(
        zip(columns["query_id"], columns["candidate"], strict=True)
    ):
        cells.setdefault(query, {})[candidate] = row
    lacking = [query for query, row in cells.items() if len(row) != len(names)]
    if lacking:
        raise SchemaError(f"expected {len(names)} answers a prompt; {lacking[:3]} have fewer")
    index = np.array([[row[name] for name in names] for row in cells.values()])

    def matrix(key: str, scale: float = 1.0) -> FloatArray:
        values: FloatArray = np.asarray(columns[key], dtype=float)[index] * scale
        return values

    queries = [
        parse_query(columns["prompt"][row[0]], _tools(columns["tools"][row[0]])) for row in index
    ]
    return CascadeData(
        name=BFCL,
        queries=queries,
        answers=[[columns["answer"][cell] or "" for cell in row] for row in index],
        quality=matrix("correct"),
        cost_usd=matrix("cost_usd"),
        latency_ms=matrix("latency_s", 1e3),
        input_tokens=matrix("input_tokens"),
        output_tokens=matrix("output_tokens"),
        candidates=CandidateTable.from_prices(
            {
                name: (
                    prices[name]["input_cost_per_token"] * _MTOK,
                    prices[name]["output_cost_per_token"] * _MTOK,
                )
                for name in names
            }
        ),
        groups=_groups(queries),
    )


def _gsm8k(folder: Path) -> CascadeData:
    """Weak first; a call of the strong candidate costs 1, so that cost is the share of them."""
    columns = _read(folder / "routellm" / "gsm8k.parquet")
    answers = [name for name in columns if name.endswith(":response")]
    names = [name.removesuffix(":response") for name in answers]
    quality = np.array([columns[name] for name in names], dtype=float).T
    order = np.argsort(quality.mean(axis=0), kind="stable")
    names, quality = [names[k] for k in order], quality[:, order]
    texts = [[_CALCULATOR.sub("", text) for text in columns[f"{name}:response"]] for name in names]
    queries = [parse_query(prompt) for prompt in columns["prompt"]]
    cost = np.tile([0.0, 1.0], (len(queries), 1))
    return CascadeData(
        name=GSM8K,
        queries=queries,
        answers=list(zip(*texts, strict=True)),
        quality=quality,
        cost_usd=cost,
        latency_ms=np.ones_like(cost),
        input_tokens=np.ones_like(cost),
        output_tokens=np.zeros_like(cost),
        candidates=CandidateTable.from_prices({names[0]: (0.0, 0.0), names[1]: (_MTOK, 0.0)}),
        groups=_groups(queries),
    )


def _read(path: Path) -> dict[str, list[Any]]:
    if not path.is_file():
        raise SchemaError(f"expected {path}; is the data folder right?")
    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return columns


def _tools(text: str | None) -> object:
    return json.loads(text) if text else None


def _groups(queries: Sequence[Query]) -> IntArray:
    return np.unique([group_id(query) for query in queries], return_inverse=True)[1]
