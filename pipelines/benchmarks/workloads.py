"""The workloads of the benchmarks: public data as full information, and its folds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from pipelines.config import JoinConfig
from pipelines.stages import join
from pipelines.truth import PRICES, read_truth
from router_ml.data.full_information import FullInformation
from router_ml.data.groups import group_codes, group_folds, splits
from router_ml.data.outcomes import read_candidates, read_outcomes, to_matrices
from router_ml.errors import ConfigError, SchemaError
from router_ml.features.encoder import Encoder
from router_ml.features.query import parse_query
from router_ml.learning.training_set import TrainingSet, training_set
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import TOKENS_PER_MTOK, CandidateTable

MMLU: Final = "routellm-mmlu"
MMLU_1500: Final = "routellm-mmlu-1500"
GSM8K: Final = "routellm-gsm8k"
LLMROUTER: Final = "llmrouter-9"
BFCL: Final = "bfcl-12"
MIX: Final = "mix-10"
JUDGE: Final = "judge-4"
LOGS: Final[Mapping[str, str]] = {"mix-10-log": MIX, "bfcl-12-log": BFCL}
"""Learned from requests and labels alone, judged by the workload named."""
LOG_FOLDERS: Final[Mapping[str, str]] = {"mix-10-log": "mix", "bfcl-12-log": "bfcl"}
WORKLOADS: Final = (MMLU, GSM8K, MMLU_1500, LLMROUTER, BFCL, MIX, JUDGE, *LOGS)
CASCADE_WORKLOADS: Final = (BFCL, GSM8K)
WEAK: Final = "mixtral-8x7b-instruct-v0.1"
STRONG: Final = "gpt-4-1106-preview"
_FEW_LABELS: Final = re.compile(rf"{MMLU}-([1-9]\d*)")
_CALCULATOR: Final = re.compile(r"<<[^>]*>>")


def label_count(name: str) -> int | None:
    """Labels that a workload allows to learn from; None for all.

    Examples
    --------
    >>> label_count("routellm-mmlu-1500"), label_count("routellm-mmlu")
    (1500, None)
    """
    match = _FEW_LABELS.fullmatch(name)
    return int(match[1]) if match else None


def read_workload(name: str, data: Path) -> FullInformation:
    """Read a workload from the folder of shared data.

    Raises
    ------
    ConfigError
        If there is no such workload, or its file is not there.
    """
    base = LOGS.get(name, name) if label_count(name) is None else MMLU
    if base not in _READERS:
        raise ConfigError(
            f"workloads are {', '.join(WORKLOADS)} or {MMLU}-<number of labels>, got {name!r}"
        )
    reader, file = _READERS[base]
    if not (data / file).is_file():
        raise ConfigError(f"workload {name} needs {data / file}, which is not there")
    return reader(data / file)


def _routellm(path: Path) -> FullInformation:
    return _wide(path, (WEAK, STRONG))


def _llmrouter(path: Path) -> FullInformation:
    frame = pd.read_parquet(path)
    return _wide(path, tuple(str(column) for column in frame if column != "prompt"))


def _wide(path: Path, names: Sequence[str]) -> FullInformation:
    """A column of quality a candidate; prices are unknown and not needed."""
    frame = pd.read_parquet(path)
    missing = [name for name in ("prompt", *names) if name not in frame]
    if missing:
        raise SchemaError(f"{path} lacks columns {missing}; it has {list(frame.columns)}")
    return FullInformation.of(
        [parse_query(prompt) for prompt in frame["prompt"]],
        frame[list(names)].to_numpy(dtype=float),
        CandidateTable.from_prices(dict.fromkeys(names, (0.0, 0.0))),
        domain=tuple(map(str, frame["domain"])) if "domain" in frame else (),
    )


def _bfcl(path: Path) -> FullInformation:
    return read_truth(path.parent, domain="category")


def _mix(path: Path) -> FullInformation:
    return read_truth(path.parent, domain="task")


def _judge(path: Path) -> FullInformation:
    """Billed cost stands for output tokens at a dollar a million, since there are no tokens."""
    frame = pd.read_parquet(path)
    first = frame.drop_duplicates("prompt").set_index("prompt")
    names = sorted(frame["candidate"].unique())

    def wide(column: str) -> FloatArray:
        table = frame.pivot(index="prompt", columns="candidate", values=column)
        values: FloatArray = table.reindex(index=first.index, columns=names).to_numpy(dtype=float)
        return values

    cost_usd = wide("cost_usd")
    return FullInformation(
        queries=tuple(parse_query(prompt) for prompt in first.index),
        candidates=CandidateTable.from_prices(dict.fromkeys(names, (0.0, 1.0))),
        quality=wide("quality"),
        cost_usd=cost_usd,
        latency_ms=np.zeros_like(cost_usd),
        input_tokens=np.zeros_like(cost_usd),
        output_tokens=cost_usd * TOKENS_PER_MTOK,
        domain=tuple(map(str, first["source"])),
    )


_READERS: Final[Mapping[str, tuple[Callable[[Path], FullInformation], str]]] = {
    MMLU: (_routellm, "routellm/mmlu.parquet"),
    GSM8K: (_routellm, "routellm/gsm8k.parquet"),
    LLMROUTER: (_llmrouter, "llmrouter/train.parquet"),
    BFCL: (_bfcl, "bfcl/matrix.parquet"),
    MIX: (_mix, "mix/matrix.parquet"),
    JUDGE: (_judge, "judge/matrix.parquet"),
}


def read_cascade_workload(name: str, data: Path) -> FullInformation:
    """Read a workload with its answers' text.

    On GSM8K the weak candidate comes first and a call of the strong one costs 1, so that cost is
    the share of strong calls.

    Raises
    ------
    ConfigError
        If there is no such workload, or its file is not there.
    """
    if name not in CASCADE_WORKLOADS:
        raise ConfigError(f"workloads are {', '.join(CASCADE_WORKLOADS)}, got {name!r}")
    if name != GSM8K:
        return read_workload(name, data)
    path = data / _READERS[GSM8K][1]
    if not path.is_file():
        raise ConfigError(f"workload {name} needs {path}, which is not there")
    frame = pd.read_parquet(path)
    suffix = ":response"
    names = [str(c).removesuffix(suffix) for c in frame.columns if str(c).endswith(suffix)]
    names.sort(key=frame[names].mean().to_dict().__getitem__)
    texts = [[_CALCULATOR.sub("", text) for text in frame[f"{n}{suffix}"]] for n in names]
    quality = frame[names].to_numpy(dtype=float)
    cost = np.tile([0.0, 1.0], (len(frame), 1))
    return FullInformation(
        queries=tuple(parse_query(prompt) for prompt in frame["prompt"]),
        candidates=CandidateTable.from_prices(
            {names[0]: (0.0, 0.0), names[1]: (TOKENS_PER_MTOK, 0.0)}
        ),
        quality=quality,
        cost_usd=cost,
        latency_ms=np.ones_like(cost),
        input_tokens=np.ones_like(cost),
        output_tokens=np.zeros_like(cost),
        answers=tuple(zip(*texts, strict=True)),
    )


def read_logs(folder: Path, encoder: Encoder, joined: Path) -> dict[bool, TrainingSet]:
    """A folder's log as training sets, labels weighted by what the log did not show, and not.

    Parameters
    ----------
    folder : with ``requests.jsonl.gz``, ``labels.csv`` and ``prices.json``
    joined : folder for the join
    """
    join.run(
        JoinConfig(
            requests=(str(folder / "requests.jsonl.gz"),),
            labels=(str(folder / "labels.csv"),),
            prices=(str(folder / PRICES),),
            output=joined,
        )
    )
    candidates = read_candidates(joined)
    table = to_matrices(read_outcomes(joined), candidates.names)
    weighted = training_set(table, candidates, encoder)
    plain = training_set(table, candidates, encoder, weighted=False, batch=weighted.batch)
    return {True: weighted, False: plain}


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
    code = group_codes(groups)
    n_groups = int(code.max(initial=-1)) + 1
    drawn = []
    for seed in range(n_seeds):
        chosen = np.random.default_rng(seed).permutation(n_groups)
        inside = np.zeros(n_groups, dtype=bool)
        inside[chosen[: min(n_labels, n_groups // 2)]] = True
        drawn.append(Split(np.flatnonzero(inside[code]), np.flatnonzero(~inside[code])))
    return drawn
