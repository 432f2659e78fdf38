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
from router_ml.types.candidates import TOKENS_PER_MTOK


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
