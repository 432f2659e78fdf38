"""Read what the join wrote: outcomes as a frame, and as the arrays that training takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.schemas import OUTCOMES
from router_ml.errors import SchemaError
from router_ml.features.query import Query, parse_query
from router_ml.types import BoolArray, CandidateTable, FloatArray, IntArray


StrArray = NDArray[np.object_]
_STRINGS: Final = ("request_id", "query_id", "group_id", "split")
_NUMBERS: Final = ("propensity", "input_tokens", "output_tokens", "latency_ms", "cost_usd")


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Outcomes as arrays: one row per request, as it was logged.

    Parameters
    ----------
    candidates : the K candidates
    queries : n parsed queries; equal requests share one object
    request_id, query_id, group_id, split : object arrays of strings, shape (n,)
        ``group_id`` is the unit of every split, fold and bootstrap; ``split`` train or test.
    chosen, served : int arrays, shape (n,), position of the candidate that the logging policy
        chose and of the one that answered (another one after a fallback); -1 = none of ours
    quality : float array, shape (n,), of the answer, in [0, 1]; NaN where unlabelled
    weight : float array, shape (n,), summed label weight; 0 where unlabelled
    propensity : float array, shape (n,), of the chosen candidate; NaN where not logged
    action_probs : float array, shape (n, K); NaN where not logged
    eligible : bool array, shape (n, K); all true where not logged
    time : datetime64[us] array, shape (n,), UTC
    input_tokens, output_tokens, latency_ms, cost_usd : float arrays, shape (n,), of the answer
    succeeded : bool array, shape (n,); tokens and latency of failures teach nothing
    """

    candidates: CandidateTable
    queries: tuple[Query, ...]
    request_id: StrArray
    query_id: StrArray
    group_id: StrArray
    split: StrArray
    chosen: IntArray
    served: IntArray
    quality: FloatArray
    weight: FloatArray
    propensity: FloatArray
    action_probs: FloatArray
    eligible: BoolArray
    time: NDArray[np.datetime64]
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    cost_usd: FloatArray
    succeeded: BoolArray

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def Y(self) -> FloatArray:  # noqa: N802 - the field's name for the quality matrix
        """Quality of the candidate that served, shape (n, K), NaN elsewhere."""
        Y: FloatArray = np.full((len(self), len(self.candidates)), np.nan)
        rows = np.flatnonzero(self.served >= 0)
        Y[rows, self.served[rows]] = self.quality[rows]
        return Y

    def take(self, index: IntArray | BoolArray) -> TrainingTable:
        """Requests by position or by mask."""
        rows = np.arange(len(self))[index]
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {"candidates": arrays.pop("candidates")}
        kept["queries"] = tuple(arrays.pop("queries")[i] for i in rows)
        return TrainingTable(**kept, **{name: value[rows] for name, value in arrays.items()})


def read_training_table(path: Path | str, *, split: str | None = None) -> TrainingTable:
    """Read the folder that a join wrote, or one split of it, as arrays.

    Candidates are all that served a request in any split, by name, at their latest price.
    """
    return to_matrices(read_outcomes(path, split=split), read_candidates(path))


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_outcomes(
    path: Path | str, columns: Sequence[str] | None = None, *, split: str | None = None
) -> pd.DataFrame:
    """Read the outcomes of a join's folder (or that file), in order of time and request.

    Parameters
    ----------
    columns : a subset, for logs whose text does not fit in memory; default: all
    split : ``train`` or ``test``; default: both

    Raises
    ------
    SchemaError
        If there is no such file, or it lacks a column.
    """
    file = Path(path) / "outcomes.parquet" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise SchemaError(f"no outcomes at {file}; run the join first")
    wanted = list(OUTCOMES.names if columns is None else columns)
    present = pq.read_schema(file).names
    if missing := [name for name in wanted if name not in present]:
        raise SchemaError(
            f"{file} has no column {', '.join(missing)}; its columns are {', '.join(present)}"
        )
    read = list(dict.fromkeys([*wanted, "time", "request_id"]))
    chosen = None if split is None else [("split", "=", split)]
    table = pq.read_table(file, columns=read, filters=chosen)
    table = table.sort_by([("time", "ascending"), ("request_id", "ascending")])
    frame: pd.DataFrame = table.select(wanted).to_pandas()
    return frame


def read_candidates(path: Path | str, names: Sequence[str] | None = None) -> CandidateTable:
    """Build the candidate table of a join's folder, at each candidate's latest price.

    Parameters
    ----------
    path : the folder that :func:`pipelines.join.run` wrote
    names : candidates and their order; default: all that served a request, by name

    Raises
    ------
    SchemaError
        If a named candidate has no price.
    """
    prices = pq.read_table(Path(path) / "prices.parquet").sort_by("valid_from").to_pylist()
    latest = {row["candidate"]: row for row in prices}
    if names is None:
        served = pq.read_table(Path(path) / "outcomes.parquet", columns=["candidate_served"])
        names = sorted(name for name in served["candidate_served"].unique().to_pylist())
    if absent := [name for name in names if name not in latest]:
        raise SchemaError(f"no price of {', '.join(absent)}; add it to the price list and join")
    rows = [latest[name] for name in names]
    return CandidateTable(
        names=tuple(names),
        input_usd_per_mtok=np.array([r["input_usd_per_mtok"] for r in rows], dtype=float),
        output_usd_per_mtok=np.array([r["output_usd_per_mtok"] for r in rows], dtype=float),
        cached_input_usd_per_mtok=np.array(
            [r["cached_input_usd_per_mtok"] for r in rows], dtype=float
        ),
        context_window=np.array([r["context_window"] or 0 for r in rows], dtype=np.int64),
        max_output_tokens=np.array([r["max_output_tokens"] or 0 for r in rows], dtype=np.int64),
        provider=tuple(r["provider"] or "" for r in rows),
        capabilities=tuple(frozenset(r["capabilities"] or ()) for r in rows),
    )


def to_matrices(outcomes: pd.DataFrame, candidates: CandidateTable) -> TrainingTable:
    """Arrange outcomes (of :func:`read_outcomes`) for training on ``candidates``.

    Requests that another candidate served keep their row, with ``Y`` all NaN.
    """
    column = {name: k for k, name in enumerate(candidates.names)}
    quality = _floats(outcomes["quality"])
    weight = np.nan_to_num(_floats(outcomes["label_weight"]))
    eligible, action_probs = _offered(outcomes, column)
    return TrainingTable(
        candidates=candidates,
        queries=parse_queries(outcomes),
        **{name: outcomes[name].to_numpy(dtype=object) for name in _STRINGS},
        chosen=_positions(outcomes["candidate_chosen"], column),
        served=_positions(outcomes["candidate_served"], column),
        quality=quality,
        weight=np.where(np.isfinite(quality), weight, 0.0),
        action_probs=action_probs,
        eligible=eligible,
        time=outcomes["time"].to_numpy(dtype="datetime64[us]"),
        **{name: _floats(outcomes[name]) for name in _NUMBERS},
        succeeded=(outcomes["status"] == "success").to_numpy(dtype=bool),
    )


def parse_queries(outcomes: pd.DataFrame) -> tuple[Query, ...]:
    """Parse each distinct request once; from its messages, or its query text without any."""
    seen: dict[tuple[str, str | None, str | None], Query] = {}
    queries = []
    for key in zip(*(_texts(outcomes[c]) for c in ("query", "messages", "tools")), strict=True):
        text, messages, tools = key
        if key not in seen:
            said = text if messages is None else orjson.loads(messages)
            seen[key] = parse_query(said, None if tools is None else orjson.loads(tools))
        queries.append(seen[key])
    return tuple(queries)


def _texts(column: pd.Series[Any]) -> list[Any]:
    """Strings, with None for every kind of null."""
    texts: list[Any] = pa.array(column, from_pandas=True).to_pylist()
    return texts


def _floats(column: pd.Series[Any]) -> FloatArray:
    values: FloatArray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _positions(column: pd.Series[Any], position: dict[str, int]) -> IntArray:
    return np.array([position.get(name, -1) for name in column], dtype=np.int64)


def _offered(outcomes: pd.DataFrame, column: dict[str, int]) -> tuple[BoolArray, FloatArray]:
    """Eligible candidates, and the logging policy's probabilities in the same order."""
    eligible: BoolArray = np.ones((len(outcomes), len(column)), dtype=bool)
    action_probs = np.full((len(outcomes), len(column)), np.nan)
    pairs = zip(outcomes["eligible"], outcomes["action_probs"], strict=True)
    for i, (names, probs) in enumerate(pairs):
        if names is None:
            continue
        positions = [column.get(name, -1) for name in names]
        eligible[i] = False
        eligible[i, [p for p in positions if p >= 0]] = True
        if probs is not None:
            action_probs[i] = 0.0
            for p, prob in zip(positions, probs, strict=True):
                if p >= 0:
                    action_probs[i, p] = prob
    return eligible, action_probs
