"""The workloads of the quality benchmark: prompts, truth, costs and folds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pandas as pd

from router_ml.data.full_information import read_matrix
from router_ml.data.groups import group_folds, splits
from router_ml.errors import ConfigError, SchemaError
from router_ml.features.query import Query, group_id, parse_query
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

MMLU: Final = "routellm-mmlu"
MMLU_1500: Final = "routellm-mmlu-1500"
GSM8K: Final = "routellm-gsm8k"
LLMROUTER: Final = "llmrouter-9"
BFCL: Final = "bfcl-12"
WORKLOADS: Final = (MMLU, GSM8K, MMLU_1500, LLMROUTER, BFCL)
WEAK: Final = "mixtral-8x7b-instruct-v0.1"
STRONG: Final = "gpt-4-1106-preview"
_TOKENS_PER_MTOK: Final = 1e6
_FEW_LABELS: Final = re.compile(rf"{MMLU}-([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Workload:
    """Full information on n prompts and K candidates.

    Parameters
    ----------
    queries : parsed prompts; nothing else is ever a feature
    quality : in [0, 1], shape (n, K)
    candidates : in the order of the columns
    input_tokens, output_tokens, cost_usd : shape (n, K); NaN where a source has none
    domain : subject or category of each prompt, for figures only; empty where a source has none
    """

    queries: tuple[Query, ...]
    quality: FloatArray
    candidates: CandidateTable
    input_tokens: FloatArray
    output_tokens: FloatArray
    cost_usd: FloatArray
    domain: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, rows: IntArray) -> Workload:
        """Prompts by position."""
        return Workload(
            queries=tuple(self.queries[i] for i in rows),
            quality=self.quality[rows],
            candidates=self.candidates,
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            cost_usd=self.cost_usd[rows],
            domain=tuple(self.domain[i] for i in rows) if self.domain else (),
        )

    @property
    def has_cost(self) -> bool:
        """Whether every cost is known."""
        return bool(np.isfinite(self.cost_usd).all())

    @property
    def group_id(self) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
        """Hash of each normalised prompt, shape (n,): the unit of folds and bootstraps."""
        return np.array([group_id(query) for query in self.queries], dtype=object)

    @property
    def groups(self) -> IntArray:
        """Integer codes of :attr:`group_id`."""
        codes: IntArray = np.unique(self.group_id, return_inverse=True)[1]
        return codes


def label_count(name: str) -> int | None:
    """Labels that a workload allows to learn from; None for all.

    Examples
    --------
    >>> label_count("routellm-mmlu-1500"), label_count("routellm-mmlu")
    (1500, None)
    """
    match = _FEW_LABELS.fullmatch(name)
    return int(match[1]) if match else None


def read_workload(name: str, data: Path) -> Workload:
    """Read a workload from the folder of shared data.

    Raises
    ------
    ConfigError
        If there is no such workload, or its file is not there.
    """
    base = name if label_count(name) is None else MMLU
    if base not in _READERS:
        raise ConfigError(
            f"workloads are {', '.join(WORKLOADS)} or {MMLU}-<number of labels>, got {name!r}"
        )
    reader, file = _READERS[base]
    if not (data / file).is_file():
        raise ConfigError(f"workload {name} needs {data / file}, which is not there")
    return reader(data / file)


def _routellm(path: Path) -> Workload:
    return _wide(path, (WEAK, STRONG))


def _llmrouter(path: Path) -> Workload:
    frame = pd.read_parquet(path)
    return _wide(path, tuple(str(column) for column in frame if column != "prompt"))


def _wide(path: Path, names: Sequence[str]) -> Workload:
    """A column of quality a candidate; prices are unknown and not needed."""
    frame = pd.read_parquet(path)
    missing = [name for name in ("prompt", *names) if name not in frame]
    if missing:
        raise SchemaError(f"{path} lacks columns {missing}; it has {list(frame.columns)}")
    quality = frame[list(names)].to_numpy(dtype=float)
    nothing = np.full(quality.shape, np.nan)
    return Workload(
        queries=tuple(parse_query(prompt) for prompt in frame["prompt"]),
        quality=quality,
        candidates=CandidateTable.from_prices(dict.fromkeys(names, (0.0, 0.0))),
        input_tokens=nothing,
        output_tokens=nothing,
        cost_usd=nothing,
        domain=tuple(map(str, frame["domain"])) if "domain" in frame else (),
    )


def _bfcl(path: Path) -> Workload:
    prices = orjson.loads((path.parent / "prices.json").read_bytes())
    matrix = read_matrix(path)
    per_mtok = {
        name: (
            prices[name]["input_cost_per_token"] * _TOKENS_PER_MTOK,
            prices[name]["output_cost_per_token"] * _TOKENS_PER_MTOK,
        )
        for name in matrix.candidates
    }
    return Workload(
        queries=matrix.queries,
        quality=matrix.quality,
        candidates=CandidateTable.from_prices(per_mtok),
        input_tokens=matrix.input_tokens,
        output_tokens=matrix.output_tokens,
        cost_usd=matrix.cost_usd,
        domain=_categories(path, matrix.query_id),
    )


def _categories(path: Path, query_id: Iterable[object]) -> tuple[str, ...]:
    frame = pd.read_parquet(path, columns=["query_id", "category"])
    category = dict(zip(frame["query_id"], frame["category"], strict=True))
    return tuple(str(category[query]) for query in query_id)


_READERS: Final[Mapping[str, tuple[Callable[[Path], Workload], str]]] = {
    MMLU: (_routellm, "routellm/mmlu.parquet"),
    GSM8K: (_routellm, "routellm/gsm8k.parquet"),
    LLMROUTER: (_llmrouter, "llmrouter/train.parquet"),
    BFCL: (_bfcl, "bfcl/matrix.parquet"),
}


@dataclass(frozen=True, slots=True)
class Split:
    """Train on some rows, test on others; no group stands on both sides."""

    train: IntArray
    test: IntArray


def cross_validation(groups: IntArray, *, n_folds: int = 5, random_state: int = 0) -> list[Split]:
    """Folds of whole groups.

    Examples
    --------
    >>> splits = cross_validation(np.array([0, 0, 1, 2, 3]), n_folds=2)
    >>> sorted(np.concatenate([split.test for split in splits]).tolist())
    [0, 1, 2, 3, 4]
    """
    folds = group_folds(groups, n_folds=n_folds, random_state=random_state)
    return [Split(train, test) for train, test in splits(folds)]


def few_labels(groups: IntArray, *, n_labels: int, n_seeds: int) -> list[Split]:
    """``n_labels`` random prompts to learn from, tested on the rest, once a seed."""
    distinct, code = np.unique(groups, return_inverse=True)
    splits = []
    for seed in range(n_seeds):
        chosen = np.random.default_rng(seed).permutation(len(distinct))
        inside = np.zeros(len(distinct), dtype=bool)
        inside[chosen[: min(n_labels, len(distinct) // 2)]] = True
        splits.append(Split(np.flatnonzero(inside[code]), np.flatnonzero(~inside[code])))
    return splits
