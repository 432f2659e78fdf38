"""A log's requests as off-policy estimators take them, and the regions it is diagnosed by."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipelines.tables import TrainingTable
from pipelines.weighting import groups_of, label_probability
from router_ml.errors import DataError
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import estimate_propensities
from router_ml.features.lexical import lexical_features
from router_ml.types import BoolArray, FloatArray, IntArray

REGIONS: Final = (
    "short without tools",
    "long without tools",
    "short with tools",
    "long with tools",
)
"""Query regions in which overlap is diagnosed; long is above the median of the log."""


def feedback(
    table: TrainingTable, *, estimate: bool = False
) -> tuple[LoggedFeedback, LoggedFeedback]:
    """Quality and cost of a log.

    Labels, and costs where some are unknown, are taken to be missing at random given candidate and
    propensity. What a candidate would have done with requests that it was not offered, such as
    those from before it was added or changed, is missing as well, at random over the log.

    Parameters
    ----------
    estimate : whether propensities are estimated, and calibrated, where some were not logged

    Raises
    ------
    DataError
        If a request has no logged propensity and they are not to be estimated.
    """
    propensity, source = table.propensity, "logged"
    missing = int((~np.isfinite(propensity)).sum())
    if missing and not estimate:
        raise DataError(
            f"{missing} requests have no logged propensity; "
            "set request_fields.propensity in the join config, or compare on a matrix"
        )
    groups = groups_of(table)
    if missing:
        propensity, source = _estimated(table, groups), "estimated"
    offered = _share(table, table.eligible)
    quality = LoggedFeedback(
        action=table.chosen,
        propensity=propensity,
        outcome=table.quality,
        label_prob=label_probability(table) * _share(table, table.current),
        group_id=groups,
        propensity_source=source,
    )
    costed = np.isfinite(table.cost_usd)
    cost_usd = LoggedFeedback(
        action=table.chosen,
        propensity=propensity,
        outcome=table.cost_usd,
        label_prob=offered if costed.all() else label_probability(table, costed) * offered,
        group_id=groups,
        propensity_source=source,
    )
    return quality, cost_usd


def _share(table: TrainingTable, of: BoolArray) -> FloatArray:
    """Share of all requests in which ``of`` (n, K) holds for the chosen candidate, shape (n,).

    At least that of one request, so that what is void from end to end stays a probability.
    """
    share = np.maximum(of.mean(axis=0), 1.0 / len(table))
    return np.where(table.chosen >= 0, share[np.maximum(table.chosen, 0)], 1.0)


def regions_of(table: TrainingTable) -> IntArray:
    """Index into ``REGIONS`` of every request, shape (n,)."""
    length = np.array([len(query.ask) for query in table.queries])
    tools = np.array([bool(query.tools) for query in table.queries])
    region: IntArray = 2 * tools.astype(np.int64) + (length > np.median(length))
    return region


def largest_weight(log: LoggedFeedback) -> float:
    """Largest inverse probability among all requests, labelled or not."""
    return float((1.0 / (log.propensity * log.label_prob)).max())


def _estimated(table: TrainingTable, groups: IntArray) -> FloatArray:
    """Propensity of what was chosen, by logistic regression on lexical features, shape (n,)."""
    distinct = {id(query): query for query in table.queries}
    position = {key: i for i, key in enumerate(distinct)}
    lexical = np.stack([lexical_features(query) for query in distinct.values()]).astype(float)
    spread = lexical.std(axis=0)
    varied = lexical[:, spread > 1e-9]
    scaled = (varied - varied.mean(axis=0)) / varied.std(axis=0)
    features = scaled[[position[id(query)] for query in table.queries]]
    probs = estimate_propensities(features, table.chosen, len(table.candidates), groups)
    chosen: FloatArray = probs[np.arange(len(table)), table.chosen]
    return chosen
