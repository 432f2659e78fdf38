"""Find candidates whose quality changed, from residuals in the order of time."""

from __future__ import annotations

import numpy as np

from router_ml.data.changes import Change
from router_ml.data.groups import distinct_rows
from router_ml.data.outcomes import TrainingTable
from router_ml.estimators.base import spread
from router_ml.evaluation.change_point import last_change
from router_ml.evaluation.off_policy.nuisance import outcome_model
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch


def query_features(table: TrainingTable, batch: QueryBatch) -> FloatArray:
    """Standardised embedding of every request's query, shape (n, d).

    Parameters
    ----------
    batch : of the distinct queries, in the order of their ids
    """
    code = distinct_rows(table.query_id)[1]
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
