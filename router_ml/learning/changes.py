"""Candidates that are not what they were: old labels and old prices are void."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from router_ml.data.outcomes import TrainingTable, read_candidates
from router_ml.estimators.base import spread
from router_ml.evaluation.change_point import last_change
from router_ml.evaluation.off_policy.nuisance import outcome_model
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import TOKENS_PER_MTOK
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class Change:
    """From ``time`` on (naive UTC) a candidate's quality is another than before."""

    candidate: str
    time: np.datetime64

    def as_dict(self) -> dict[str, str]:
        """As reports and manifests hold it."""
        return {"candidate": self.candidate, "time": str(self.time)}


def changes_from(rows: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Read what :meth:`Change.as_dict` gave."""
    return tuple(Change(row["candidate"], np.datetime64(row["time"], "us")) for row in rows)


def query_features(table: TrainingTable, batch: QueryBatch) -> FloatArray:
    """Standardised embedding of every request's query, shape (n, d).

    Parameters
    ----------
    batch : of the distinct queries, in the order of their ids
    """
    code = np.unique(np.array(table.query_id), return_inverse=True)[1]
    embedding = batch.embedding.astype(float)
    features: FloatArray = ((embedding - embedding.mean(axis=0)) / spread(embedding))[code]
    return features


def find_changes(table: TrainingTable, features: FloatArray) -> tuple[Change, ...]:
    """Last change of every candidate's quality that the log shows.

    What is scanned is quality less what a model constant in time expects of that query, so that a
    candidate is not found changed because it was sent other queries.

    Parameters
    ----------
    table : n requests in order of time
    features : of their queries, shape (n, d), roughly standardised
    """
    labelled = np.flatnonzero(np.isfinite(table.quality))
    action, quality = table.served[labelled], table.quality[labelled]
    k = len(table.candidates)
    predict = outcome_model(features[labelled], action, quality, k)
    residual = quality - predict(features[labelled])[np.arange(len(labelled)), action]
    found = []
    for candidate, name in enumerate(table.candidates):
        mine = np.flatnonzero(action == candidate)
        if first := last_change(residual[mine]):
            found.append(Change(name, table.time[labelled[mine[first]]]))
    return tuple(found)


def void_outdated(table: TrainingTable, changes: Iterable[Change]) -> TrainingTable:
    """The same requests, without the labels that a candidate got before it changed.

    Requests from before the change count as ones that the candidate, as it now is, was not offered,
    so that every correction for what is missing (weights, doubly robust estimates) holds for them.
    """
    position = {name: k for k, name in enumerate(table.candidates)}
    outdated = table.outdated.copy()
    for change in changes:
        if change.candidate in position:
            outdated[table.time < change.time, position[change.candidate]] = True
    void = (table.served >= 0) & outdated[np.arange(len(table)), table.served]
    return replace(
        table,
        Y=np.where(void[:, None], np.nan, table.Y),
        weight=np.where(void, 0.0, table.weight),
        outdated=outdated,
    )


def at_current_prices(table: TrainingTable, joined: Path) -> TrainingTable:
    """The same requests, those of repriced candidates at what they would cost now.

    A router is judged for what it will spend; prices that no longer hold are as void as labels of a
    model that was replaced. Where tokens are not known, the cost that was is kept.
    """
    windows = pq.read_table(joined / "prices.parquet", columns=["candidate"])["candidate"]
    repriced = {name for name, n in Counter(windows.to_pylist()).items() if n > 1}
    rows = np.flatnonzero(
        [k >= 0 and table.candidates[k] in repriced for k in table.served]
        & np.isfinite(table.input_tokens + table.output_tokens)
    )
    if len(rows) == 0:
        return table
    prices = read_candidates(joined, sorted(repriced))
    at = [prices.index(table.candidates[k]) for k in table.served[rows]]
    cost_usd = table.cost_usd.copy()
    cost_usd[rows] = (
        table.input_tokens[rows] * prices.input_usd_per_mtok[at]
        + table.output_tokens[rows] * prices.output_usd_per_mtok[at]
    ) / TOKENS_PER_MTOK
    return replace(table, cost_usd=cost_usd)
