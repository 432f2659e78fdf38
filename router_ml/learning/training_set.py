"""What a router is fitted on: a log, collapsed to one row a distinct query, with its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from router_ml.data.outcomes import TrainingTable
from router_ml.estimators.router import Outcomes
from router_ml.evaluation.off_policy.weighting import inverse_probability_weight
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a router is fitted on: one row a distinct query.

    Parameters
    ----------
    queries : n parsed queries
    batch : their features
    outcomes : means over the requests that asked the same, NaN where unobserved
    query_id : hash of each query, shape (n,)
    group_id : hash of each normalised text, shape (n,)
    candidates : the K candidates
    requests : how often each query was asked, labelled or not, shape (n,)
    served : by whom, as often as it was one of the candidates, shape (n, K); None where nobody
        chose: every candidate's outcome is known
    begun : how often each query began a session, or came without one, shape (n,); None where
        nothing was logged
    """

    queries: tuple[Query, ...]
    batch: QueryBatch
    outcomes: Outcomes
    query_id: np.typing.NDArray[np.str_]
    group_id: np.typing.NDArray[np.str_]
    candidates: CandidateTable
    requests: FloatArray
    served: FloatArray | None = None
    begun: FloatArray | None = None

    @property
    def groups(self) -> IntArray:
        """Integer codes of ``group_id``, shape (n,)."""
        codes: IntArray = np.unique(self.group_id, return_inverse=True)[1]
        return codes

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, index: IntArray | BoolArray) -> TrainingSet:
        """Rows by position or by mask."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            batch=self.batch.take(rows),
            outcomes=self.outcomes.take(rows),
            query_id=self.query_id[rows],
            group_id=self.group_id[rows],
            requests=self.requests[rows],
            served=None if self.served is None else self.served[rows],
            begun=None if self.begun is None else self.begun[rows],
        )


def training_set(
    table: TrainingTable,
    candidates: CandidateTable,
    encoder: Encoder,
    *,
    weighted: bool = True,
    batch: QueryBatch | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> TrainingSet:
    """Collapse requests that asked the same, and compute features once a distinct query.

    A cell of ``outcomes.quality`` is the weighted mean of its labels and its weight their total, so
    nothing is lost: squared and logistic losses see the same sums. Labels are weighted by the
    inverse of the probability that the log shows them, unless ``weighted`` is false. ``batch`` are
    the features, if they are there already.
    """
    query_id = np.array(table.query_id)
    distinct, first, code = np.unique(query_id, return_index=True, return_inverse=True)
    shape = (len(distinct), len(table.candidates))

    def mean(values: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        known = ~np.isnan(values) & (weight > 0) & (table.served >= 0)
        at = (code[known], table.served[known])
        total, mass = np.zeros(shape), np.zeros(shape)
        np.add.at(total, at, values[known] * weight[known])
        np.add.at(mass, at, weight[known])
        return np.divide(total, mass, out=np.full(shape, np.nan), where=mass > 0), mass

    answered = table.succeeded.astype(float)
    seen = inverse_probability_weight(table) if weighted else np.ones(len(table))
    quality, mass = mean(table.quality, table.weight * seen)
    outcomes = Outcomes(
        quality=quality,
        input_tokens=mean(table.input_tokens, answered)[0],
        output_tokens=mean(table.output_tokens, answered)[0],
        latency_ms=mean(table.latency_ms, answered)[0],
        weight=mass,
    )
    served = np.zeros(shape)
    known = table.served >= 0
    np.add.at(served, (code[known], table.served[known]), 1.0)
    queries = tuple(table.queries[i] for i in first)
    if batch is None:
        batch = Featurizer(encoder=encoder).transform(queries, progress=on_progress)
    return TrainingSet(
        queries=queries,
        batch=batch,
        outcomes=outcomes,
        query_id=distinct,
        group_id=np.array(table.group_id)[first],
        candidates=candidates,
        requests=np.bincount(code).astype(float),
        served=served,
        begun=np.bincount(code, table.begins if len(table.begins) else None).astype(float),
    )
