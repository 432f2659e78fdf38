"""Full information: every candidate's outcome on every prompt, the truth that routers are held to.

Never an input of training on a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from router_ml.data.groups import group_codes
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import DataError, SchemaError
from router_ml.features.query import Query, group_id, parse_query, query_id
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

Ids = np.ndarray[tuple[int], np.dtype[np.object_]]
MEASURES: Final = ("quality", "cost_usd", "latency_ms", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class FullInformation:
    """One row a distinct query; arrays of shape (n, K), columns in the order of ``candidates``.

    Parameters
    ----------
    queries : n, parsed
    candidates : K; their prices are zero where a source has none
    quality : in [0, 1]
    cost_usd : dollars a request; NaN where a source has none, as the next three
    latency_ms, input_tokens, output_tokens : as measured
    answers : n rows of K texts, ``None`` where a source has none
    domain : subject or task of each query, for analysis only, never a feature; empty without any
    query_id, group_id : hashes of the query and of its normalised text, shape (n,); computed from
        ``queries`` where not given
    """

    queries: tuple[Query, ...]
    candidates: CandidateTable
    quality: FloatArray
    cost_usd: FloatArray
    latency_ms: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    answers: tuple[tuple[str, ...], ...] | None = None
    domain: tuple[str, ...] = ()
    query_id: Ids = field(default_factory=lambda: np.zeros(0, dtype=object))
    group_id: Ids = field(default_factory=lambda: np.zeros(0, dtype=object))

    def __post_init__(self) -> None:
        shape = (len(self.queries), len(self.candidates))
        wrong = {m: getattr(self, m).shape for m in MEASURES if getattr(self, m).shape != shape}
        if wrong:
            raise SchemaError(f"measures must have shape (n_queries, K) = {shape}, got {wrong}")
        for name, hashed in (("query_id", query_id), ("group_id", group_id)):
            if len(getattr(self, name)) != len(self.queries):
                ids = np.array([hashed(query) for query in self.queries], dtype=object)
                object.__setattr__(self, name, ids)

    @classmethod
    def of(
        cls,
        queries: Sequence[Query],
        quality: FloatArray,
        candidates: CandidateTable,
        **known: Any,
    ) -> Self:
        """Fill what is not known with NaN; further arguments as the class takes them."""
        unknown: dict[str, Any] = {
            m: np.full(np.shape(quality), np.nan) for m in MEASURES[1:] if m not in known
        }
        return cls(
            queries=tuple(queries), candidates=candidates, quality=quality, **unknown, **known
        )

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def groups(self) -> IntArray:
        """Integer codes of ``group_id``, for folds and bootstraps."""
        return group_codes(self.group_id)

    @property
    def has_cost(self) -> bool:
        """Whether every cost is known."""
        return bool(np.isfinite(self.cost_usd).all())

    def take(self, index: IntArray | BoolArray) -> FullInformation:
        """Queries by position or by mask."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            answers=None if self.answers is None else tuple(self.answers[i] for i in rows),
            domain=tuple(self.domain[i] for i in rows) if self.domain else (),
            **{name: getattr(self, name)[rows] for name in ("query_id", "group_id", *MEASURES)},
        )

    def priced(self, candidates: CandidateTable) -> FullInformation:
        """The same outcomes with these candidates' prices, names in the same order."""
        if candidates.names != self.candidates.names:
            raise SchemaError(f"expected {self.candidates.names}, got {candidates.names}")
        return replace(self, candidates=candidates)

    def select(self, names: Sequence[str]) -> FullInformation:
        """Candidates by name, in that order; ConfigError where there is none of a name."""
        columns = [self.candidates.index(name) for name in names]
        return replace(
            self,
            candidates=self.candidates.take(columns),
            answers=(
                None
                if self.answers is None
                else tuple(tuple(row[k] for k in columns) for row in self.answers)
            ),
            **{name: getattr(self, name)[:, columns] for name in MEASURES},
        )


def concatenate(first: FullInformation, second: FullInformation) -> FullInformation:
    """Rows of both, columns as in ``first``.

    Raises
    ------
    SchemaError
        If the candidates are not the same.
    """
    names = first.candidates.names
    if set(names) != set(second.candidates.names):
        raise SchemaError(
            f"both parts must have the candidates {names}, got {second.candidates.names}"
        )
    second = second.select(names)
    both = first.answers is not None and second.answers is not None
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("query_id", "group_id", *MEASURES)
    }
    return replace(
        first,
        queries=first.queries + second.queries,
        answers=(first.answers or ()) + (second.answers or ()) if both else None,
        domain=first.domain + second.domain if first.domain and second.domain else (),
        **joined,
    )


def read_matrix(
    path: Path,
    candidates: Sequence[str] | CandidateTable | None = None,
    *,
    domain: str | None = None,
) -> FullInformation:
    """Read a long Parquet table, one row a query and candidate.

    Columns: ``query_id``, ``prompt``, ``candidate``, ``input_tokens``, ``output_tokens``,
    ``cost_usd``; ``quality`` or ``correct``; ``latency_ms`` or ``latency_s``; ``tools`` (JSON)
    where there are any; ``answer`` to judge cascades.

    Parameters
    ----------
    candidates : those wanted, in this order, with or without prices; default: all, sorted
    domain : a column to keep for analysis

    Raises
    ------
    SchemaError
        If there is no such Parquet file, or a column or a query's row of some candidate is missing.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise SchemaError(
            f"expected a Parquet file of full information at {path}: {error}"
        ) from error
    if "quality" not in frame and "correct" in frame:
        frame["quality"] = frame["correct"].astype(float)
    if "latency_ms" not in frame and "latency_s" in frame:
        frame["latency_ms"] = frame["latency_s"] * 1000.0
    needed = ["query_id", "prompt", "candidate", *MEASURES, *([domain] if domain else [])]
    missing = [name for name in needed if name not in frame]
    if missing:
        raise SchemaError(f"{path} lacks columns {missing}; it has {list(frame.columns)}")
    if not isinstance(candidates, CandidateTable):
        wanted = sorted(frame["candidate"].unique()) if candidates is None else candidates
        candidates = CandidateTable.from_prices(dict.fromkeys(wanted, (0.0, 0.0)))
    names = candidates.names
    first = frame.drop_duplicates("query_id").set_index("query_id")
    tables: dict[str, Any] = {}
    for measure in MEASURES:
        wide = frame.pivot(index="query_id", columns="candidate", values=measure)
        wide = wide.reindex(index=first.index, columns=list(names))
        if holes := int(wide.isna().to_numpy().sum()):
            raise SchemaError(
                f"{path} must have {measure} of every candidate for every query_id; {holes} cells "
                "are empty: is it the log rather than the matrix?"
            )
        tables[measure] = wide.to_numpy(dtype=float)
    tools = first["tools"] if "tools" in first else pd.Series(None, index=first.index, dtype=object)
    queries = tuple(
        parse_query(prompt, orjson.loads(tool) if isinstance(tool, str) and tool else None)
        for prompt, tool in zip(first["prompt"], tools, strict=True)
    )
    return FullInformation(
        queries=queries,
        candidates=candidates,
        answers=_answers(frame, first.index, names),
        domain=tuple(map(str, first[domain])) if domain else (),
        query_id=first.index.to_numpy(dtype=object),
        **tables,
    )


def unseen(truth: FullInformation, joined: Path | None) -> FullInformation:
    """Rows of the matrix whose prompt is not in the training split of a joined log.

    Raises
    ------
    DataError
        If there is none.
    """
    if joined is None:
        return truth
    frame = read_outcomes(joined, columns=["group_id", "split"])
    trained_on = set(frame.loc[frame["split"] == "train", "group_id"])
    kept = truth.take(np.array([group not in trained_on for group in truth.group_id]))
    if len(kept) == 0:
        raise DataError(
            "every prompt of the matrix is in the training split of the joined log; raise "
            "test_share, or cross-fit with `router-ml demo`"
        )
    return kept


def _answers(
    frame: pd.DataFrame, query_ids: pd.Index[Any], names: tuple[str, ...]
) -> tuple[tuple[str, ...], ...] | None:
    if "answer" not in frame:
        return None
    wide = frame.pivot(index="query_id", columns="candidate", values="answer")
    wide = wide.reindex(index=query_ids, columns=list(names)).fillna("")
    return tuple(tuple(row) for row in wide.to_numpy(dtype=object).tolist())
