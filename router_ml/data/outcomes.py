"""Read what the join wrote: outcomes as a frame, and as the arrays that training takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.data.loggers import Loggers
from router_ml.data.schemas import LATER, OUTCOMES
from router_ml.errors import SchemaError
from router_ml.features.query import Query, parse_query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

UNSETTLED: Final = (
    "; labels that the join's report counts as not_settled do not count yet: join again later, or "
    "with label_settled: 0"
)
"""What an error says where no label is there, besides what else would help."""


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Outcomes as arrays: one row per request, one column per candidate.

    Parameters
    ----------
    request_id : n ids
    queries : n parsed queries; equal requests share one object
    candidates : K names, the order of the columns
    Y : float array, shape (n, K), quality in [0, 1] of the candidate that served, NaN elsewhere
    weight : float array, shape (n,), summed label weight; 0 where unlabelled
    chosen, served : int array, shape (n,), column of the candidate; -1 = not among ``candidates``
    propensity : float array, shape (n,), of the chosen candidate; NaN where not logged
    action_probs : float array, shape (n, K); NaN where not logged
    eligible : bool array, shape (n, K); all true where not logged
    outdated : bool array, shape (n, K); from before the candidate changed, so that a label of its
        quality says nothing any more (:mod:`router_ml.learning.changes`)
    query_id, group_id : n hashes; ``group_id`` is the unit of every split, fold and bootstrap
    time : datetime64[us] array, shape (n,), UTC
    input_tokens, output_tokens, latency_ms, cost_usd : float array, shape (n,)
        Of the candidate that served.
    succeeded : bool array, shape (n,); tokens and latency of failures teach nothing
    answer : n texts, ``None`` where the log has none
    finish_reason : n, ``""`` where the log has none
    split : n names, ``train`` or ``test``
    label_prob : float array, shape (n,), probability with which a request was drawn to be labelled;
        NaN where it was not drawn; empty where none was
    propensity_source : ``logged``, or ``estimated`` by
        :func:`router_ml.evaluation.off_policy.propensities.with_propensities`
    policy_version : n names of the version that chose; ``""`` where the log has none
    begins : bool array, shape (n,), whether a request is the first of its session, or has none;
        empty where that is not known
    loggers : what every version would have chosen, where several served the log, by
        :func:`router_ml.evaluation.off_policy.balance.with_loggers`
    """

    request_id: tuple[str, ...]
    queries: tuple[Query, ...]
    candidates: tuple[str, ...]
    Y: FloatArray
    weight: FloatArray
    chosen: IntArray
    served: IntArray
    propensity: FloatArray
    action_probs: FloatArray
    eligible: BoolArray
    outdated: BoolArray
    query_id: tuple[str, ...]
    group_id: tuple[str, ...]
    time: np.typing.NDArray[np.datetime64]
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    cost_usd: FloatArray
    succeeded: BoolArray
    answer: tuple[str | None, ...]
    finish_reason: tuple[str, ...]
    split: tuple[str, ...]
    propensity_source: str = "logged"
    label_prob: FloatArray = field(default_factory=lambda: np.zeros(0))
    policy_version: tuple[str, ...] = ()
    begins: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    loggers: Loggers | None = None

    def __len__(self) -> int:
        return len(self.request_id)

    @property
    def balanced_propensity(self) -> FloatArray:
        """Propensity under the mixture of all versions that served the log, shape (n,)."""
        return self.propensity if self.loggers is None else self.loggers.propensity

    @property
    def quality(self) -> FloatArray:
        """Quality of the answer that was given, shape (n,), NaN where unknown."""
        known = self.served >= 0
        quality: FloatArray = np.full(len(self), np.nan)
        quality[known] = self.Y[np.flatnonzero(known), self.served[known]]
        return quality

    def take(self, index: IntArray | BoolArray) -> TrainingTable:
        """Requests by position or by mask."""
        rows = np.arange(len(self))[index]
        taken: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "loggers":
                taken[item.name] = None if value is None else value.take(rows)
            elif item.name in ("candidates", "propensity_source") or not len(value):
                taken[item.name] = value
            elif isinstance(value, tuple):
                taken[item.name] = tuple(value[i] for i in rows)
            else:
                taken[item.name] = value[rows]
        return TrainingTable(**taken)


def read_outcomes(path: Path | str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the outcomes of a join's folder (or that file), in order of time and request.

    Parameters
    ----------
    columns : a subset, for logs whose text does not fit in memory; default: all

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
    lacking = [name for name in wanted if name not in present]
    if missing := [name for name in lacking if name not in LATER]:
        raise SchemaError(
            f"{file} has no column {', '.join(missing)}; its columns are {', '.join(present)}"
        )
    read = [n for n in dict.fromkeys([*wanted, "time", "request_id"]) if n not in lacking]
    return outcomes_frame(pq.read_table(file, columns=read), wanted)


def outcomes_frame(table: pa.Table, columns: Sequence[str] = OUTCOMES.names) -> pd.DataFrame:
    """Rows of a join's outcomes, however they were read, as :func:`read_outcomes` gives them."""
    lacking = [name for name in columns if name not in table.column_names]
    table = table.sort_by([("time", "ascending"), ("request_id", "ascending")])
    for name in lacking:
        table = table.append_column(name, pa.nulls(len(table), pa.float64()))
    frame: pd.DataFrame = table.select(columns).to_pandas()
    return frame


def read_candidates(path: Path | str, names: Sequence[str] | None = None) -> CandidateTable:
    """Build the candidate table of a join's folder, at each candidate's latest price.

    Parameters
    ----------
    path : the folder that :func:`pipelines.stages.join.run` wrote
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
        cache_write_usd_per_mtok=np.array(
            [r["cache_write_usd_per_mtok"] for r in rows], dtype=float
        ),
        context_window=np.array([r["context_window"] or 0 for r in rows], dtype=np.int64),
        max_output_tokens=np.array([r["max_output_tokens"] or 0 for r in rows], dtype=np.int64),
        provider=tuple(r["provider"] or "" for r in rows),
        capabilities=tuple(frozenset(r["capabilities"] or ()) for r in rows),
    )


def all_candidates(outcomes: pd.DataFrame, first: Sequence[str] = ()) -> tuple[str, ...]:
    """Names ``first``, then those of all other candidates of a log, by name."""
    logged = sorted(set(outcomes["candidate_chosen"]) | set(outcomes["candidate_served"]))
    return tuple(dict.fromkeys([*first, *logged]))


def on_offer(table: TrainingTable) -> BoolArray:
    """When each candidate was to be had, shape (n, K): from its first offer to its last.

    A request in between that was not offered it may have had its reasons, such as a limit on cost;
    what came before the candidate was added or after it was retired has none.
    """
    on = np.zeros(table.eligible.shape, dtype=bool)
    for k, offered in enumerate(table.eligible.T):
        if offered.any():
            on[:, k] = (table.time >= table.time[offered].min()) & (
                table.time <= table.time[offered].max()
            )
    return on


def to_matrices(outcomes: pd.DataFrame, candidates: Sequence[str]) -> TrainingTable:
    """Arrange outcomes (of :func:`read_outcomes`) for training on ``candidates``.

    Requests that another candidate served keep their row, with ``Y`` all NaN.
    """
    column = {name: k for k, name in enumerate(candidates)}
    chosen = _positions(outcomes["candidate_chosen"], column)
    served = _positions(outcomes["candidate_served"], column)
    quality = _floats(outcomes["quality"])
    n, k = len(outcomes), len(candidates)
    Y = np.full((n, k), np.nan)
    rows = np.flatnonzero(served >= 0)
    Y[rows, served[rows]] = quality[rows]
    eligible, action_probs = _offered(outcomes, column, k)
    weight = _floats(outcomes["label_weight"])
    return TrainingTable(
        request_id=tuple(outcomes["request_id"]),
        queries=parse_queries(outcomes),
        candidates=tuple(candidates),
        Y=Y,
        weight=np.where(np.isfinite(quality), np.nan_to_num(weight), 0.0),
        chosen=chosen,
        served=served,
        propensity=_floats(outcomes["propensity"]),
        action_probs=action_probs,
        eligible=eligible,
        outdated=np.zeros((n, k), dtype=bool),
        query_id=tuple(outcomes["query_id"]),
        group_id=tuple(outcomes["group_id"]),
        time=outcomes["time"].to_numpy(dtype="datetime64[us]"),
        input_tokens=_floats(outcomes["input_tokens"]),
        output_tokens=_floats(outcomes["output_tokens"]),
        latency_ms=_floats(outcomes["latency_ms"]),
        cost_usd=_floats(outcomes["cost_usd"]),
        succeeded=(outcomes["status"] == "success").to_numpy(dtype=bool),
        answer=tuple(_texts(outcomes["answer"])),
        finish_reason=tuple(reason or "" for reason in _texts(outcomes["finish_reason"])),
        split=tuple(outcomes["split"]),
        label_prob=_floats(outcomes["label_prob"]) if "label_prob" in outcomes else np.zeros(0),
        policy_version=tuple(version or "" for version in _texts(outcomes["policy_version"])),
        begins=_begins(outcomes["session_id"]),
    )


def _begins(session_id: pd.Series[Any]) -> BoolArray:
    """First rows of their sessions, in the order of time, and rows of none."""
    begins: BoolArray = (session_id.isna() | ~session_id.duplicated()).to_numpy(dtype=bool)
    return begins


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


def _offered(
    outcomes: pd.DataFrame, column: dict[str, int], k: int
) -> tuple[BoolArray, FloatArray]:
    """Eligible candidates, and the logging policy's probabilities in the same order."""
    eligible: BoolArray = np.ones((len(outcomes), k), dtype=bool)
    action_probs = np.full((len(outcomes), k), np.nan)
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
