"""A joined log of any length to scored rows, for :mod:`router_ml.evaluation.streaming`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.artifacts import JoinedFolder
from router_ml.data.groups import distinct_rows
from router_ml.data.outcomes import TrainingTable, to_matrices
from router_ml.errors import DataError
from router_ml.evaluation.columns import action_probs, in_columns, union
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray

CHUNK: Final = 20_000
"""Requests held at once, with their texts."""
_CANDIDATES: Final = b"candidates"


def write_scored(
    joined: Path,
    challenger: Runtime,
    opponent: Runtime | None,
    output: Path,
    *,
    split: str = "test",
    chunk: int = CHUNK,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Score a split of a joined log by one router or two, chunk by chunk, into one Parquet file.

    Labels are taken to be missing at random given who served: a row's label probability is the
    share of its candidate's requests that are labelled. The challenger's predictions are the
    outcome model, the opponent's where the challenger lacks the candidate.

    Parameters
    ----------
    joined : folder that ``join`` wrote
    opponent : ``None`` = today, what the log's own policy did
    split : what neither router was trained on
    progress : called with the requests of every chunk

    Raises
    ------
    DataError
        If a request has no propensity or no cost, or the split is empty.
    """
    file = pq.ParquetFile(JoinedFolder(joined).outcomes)
    labelled, logged = _shares(file, split)
    if not logged:
        raise DataError(f"{joined} has no request in its {split} split; name another split")
    others = () if opponent is None else opponent.candidates.names
    names = union(challenger.candidates.names, others, sorted(logged))
    writer: pq.ParquetWriter | None = None
    try:
        for frame in _frames(file, split, chunk):
            rows = _scored(to_matrices(frame, names), challenger, opponent, labelled)
            if writer is None:
                schema = rows.schema.with_metadata({_CANDIDATES: json.dumps(names)})
                writer = pq.ParquetWriter(output, schema)
            writer.write_table(rows.cast(writer.schema))
            if progress is not None:
                progress(len(frame))
    finally:
        if writer is not None:
            writer.close()
    return output


def candidates_of(scored: Path) -> tuple[str, ...]:
    """Names of the candidates in the lists of a file that :func:`write_scored` wrote."""
    return tuple(json.loads(pq.read_schema(scored).metadata[_CANDIDATES]))


def _shares(file: pq.ParquetFile, split: str) -> tuple[dict[str, float], set[str]]:
    """Labelled share of every candidate that was chosen, and all that were chosen or served."""
    total: dict[str, int] = {}
    known: dict[str, int] = {}
    served: set[str] = set()
    columns = ["candidate_chosen", "candidate_served", "quality", "split"]
    for batch in file.iter_batches(columns=columns):
        frame: Any = batch.to_pandas()
        frame = frame[frame["split"] == split]
        served |= set(frame["candidate_served"])
        for name, part in frame.groupby("candidate_chosen")["quality"]:
            total[str(name)] = total.get(str(name), 0) + len(part)
            known[str(name)] = known.get(str(name), 0) + int(part.notna().sum())
    shares = {name: max(known[name], 1) / count for name, count in total.items()}
    return shares, served | set(total)


def _frames(file: pq.ParquetFile, split: str, chunk: int) -> Iterator[pd.DataFrame]:
    for batch in file.iter_batches(batch_size=chunk):
        frame = batch.to_pandas()
        frame = frame[frame["split"] == split].reset_index(drop=True)
        if len(frame):
            yield frame


def _scored(
    table: TrainingTable, challenger: Runtime, opponent: Runtime | None, labelled: dict[str, float]
) -> pa.Table:
    for name, values in (("propensity", table.propensity), ("cost_usd", table.cost_usd)):
        missing = np.flatnonzero(~np.isfinite(values))
        if len(missing):
            raise DataError(
                f"{name} must be known of every request, missing for "
                f"{table.request_id[missing[0]]}; `router-ml evaluate` estimates it in memory"
            )
    first, code = distinct_rows(table.query_id)
    queries = tuple(table.queries[i] for i in first)
    names = table.candidates
    probs, quality, cost = [], np.zeros(table.Y.shape), np.zeros(table.Y.shape)
    for router in (challenger,) if opponent is None else (opponent, challenger):
        predictions = router.predict(queries).take(code)
        probs.append(action_probs(router, predictions, names))
        own = [names.index(name) for name in router.candidates.names]
        usd = router.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        quality[:, own] = in_columns(predictions.quality, router, names)[:, own]
        cost[:, own] = in_columns(usd, router, names)[:, own]
    return pa.table({
        "group_id": list(table.group_id),
        "action": table.chosen,
        "propensity": table.propensity,
        "label_prob": np.array([labelled[names[k]] for k in table.chosen]),
        "quality": pa.array(table.quality, from_pandas=True),
        "cost_usd": table.cost_usd,
        "new_probs": _lists(probs[-1]),
        **({} if opponent is None else {"old_probs": _lists(probs[0])}),
        "predicted_quality": _lists(quality),
        "predicted_cost_usd": _lists(cost),
    })  # fmt: skip


def _lists(values: FloatArray) -> pa.Array:
    """Rows of a matrix as lists."""
    flat = pa.array(np.ascontiguousarray(values, dtype=float).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
