"""Full information: every candidate's outcome on every prompt, the truth that routers are held to.

Never an input of training on a log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from router_ml.data.outcomes import read_outcomes
from router_ml.errors import DataError, SchemaError
from router_ml.features.query import Query, group_id, parse_query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class FullInformation:
    """One row a distinct query; arrays of shape (n, K), columns in the order of ``candidates``.

    Parameters
    ----------
    query_id : shape (n,)
    queries : parsed
    group_id : hash of the normalised text, shape (n,)
    candidates : K names
    quality : in [0, 1]
    cost_usd : dollars a request
    latency_ms, input_tokens, output_tokens : as measured
    answers : n rows of K texts, None where the table has no ``answer`` column
    """

    query_id: np.ndarray[tuple[int], np.dtype[np.object_]]
    queries: tuple[Query, ...]
    group_id: np.ndarray[tuple[int], np.dtype[np.object_]]
    candidates: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    latency_ms: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    answers: tuple[tuple[str, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def groups(self) -> IntArray:
        """Integer codes of ``group_id``, for bootstraps."""
        codes: IntArray = np.unique(self.group_id, return_inverse=True)[1]
        return codes

    def take(self, index: IntArray | BoolArray) -> FullInformation:
        """Queries by position or by mask."""
        rows = np.arange(len(self))[index]
        arrays = ("query_id", "group_id", *_MEASURES)
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            answers=None if self.answers is None else tuple(self.answers[i] for i in rows),
            **{name: getattr(self, name)[rows] for name in arrays},
        )


_MEASURES = ("quality", "cost_usd", "latency_ms", "input_tokens", "output_tokens")


def read_matrix(path: Path, candidates: tuple[str, ...] | None = None) -> FullInformation:
    """Read a long Parquet table, one row a query and candidate.

    Columns: ``query_id``, ``prompt``, ``candidate``, ``input_tokens``, ``output_tokens``,
    ``cost_usd``; ``quality`` or ``correct``; ``latency_ms`` or ``latency_s``; ``tools`` (JSON)
    where there are any; ``answer`` to judge cascades.

    Parameters
    ----------
    candidates : names wanted, in this order; default: all, sorted

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
    needed = ["query_id", "prompt", "candidate", *_MEASURES]
    missing = [name for name in needed if name not in frame]
    if missing:
        raise SchemaError(f"{path} lacks columns {missing}; it has {list(frame.columns)}")
    names = tuple(sorted(frame["candidate"].unique())) if candidates is None else candidates
    first = frame.drop_duplicates("query_id").set_index("query_id")
    tables = {}
    for measure in _MEASURES:
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
        query_id=first.index.to_numpy(dtype=object),
        queries=queries,
        group_id=np.array([group_id(query) for query in queries], dtype=object),
        candidates=names,
        answers=_answers(frame, first.index, names),
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
