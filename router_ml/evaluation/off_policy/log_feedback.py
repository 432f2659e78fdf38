"""A log's requests as off-policy estimators take them, and the regions it is diagnosed by."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.data.groups import group_codes
from router_ml.data.outcomes import TrainingTable, on_offer
from router_ml.errors import DataError
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.propensities import with_propensities
from router_ml.evaluation.off_policy.weighting import label_probability
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

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
    propensity. What a candidate would have done with the requests from before it was added or
    changed, or after it was retired, is missing as well, at random over the log.

    Parameters
    ----------
    estimate : whether propensities are estimated, and calibrated, where some were not logged

    Raises
    ------
    DataError
        If a request has no logged propensity and they are not to be estimated.
    """
    missing = int((~np.isfinite(table.propensity)).sum())
    if missing and not estimate:
        raise DataError(
            f"{missing} requests have no logged propensity; "
            "set request_fields.propensity in the join config, or compare on a matrix"
        )
    groups = group_codes(table.group_id)
    table = with_propensities(table)
    propensity, source = table.balanced_propensity, table.propensity_source
    on = on_offer(table)
    quality = LoggedFeedback(
        action=table.chosen,
        propensity=propensity,
        outcome=table.quality,
        label_prob=label_probability(table) * _share(table, on & ~table.outdated, source),
        group_id=groups,
        propensity_source=source,
    )
    return quality, measured_feedback(table, table.cost_usd)


def measured_feedback(table: TrainingTable, outcome: FloatArray) -> LoggedFeedback:
    """What was measured of a log's requests, such as their cost or latency.

    Parameters
    ----------
    table : with a propensity for every request
    outcome : float array, shape (n,), NaN where it is not known
    """
    known = np.isfinite(outcome)
    source = table.propensity_source
    label_prob = np.ones(len(table)) if known.all() else label_probability(table, known)
    return LoggedFeedback(
        action=table.chosen,
        propensity=table.balanced_propensity,
        outcome=np.where(known, outcome, np.nan),
        label_prob=label_prob * _share(table, on_offer(table), source),
        group_id=group_codes(table.group_id),
        propensity_source=source,
    )


def _share(table: TrainingTable, usable: BoolArray, source: str) -> FloatArray:
    """Share of the log that can tell of the candidate chosen, shape (n,).

    Of all requests, since a logged propensity is that of its own time; of the candidate's own,
    where propensities are estimated over the whole log and know of its absence; of requests of
    versions that had the candidate, where propensities are balanced over versions. At least that of
    one request, so that what is void from end to end stays a probability.
    """
    chosen = np.maximum(table.chosen, 0)
    if source == "estimated":
        among = np.eye(len(table.candidates), dtype=bool)[chosen] & (table.chosen >= 0)[:, None]
        share = (usable & among).sum(axis=0) / np.maximum(among.sum(axis=0), 1)
    else:
        inside = np.zeros(len(table), dtype=bool)
        among = np.zeros_like(usable)
        if table.loggers is not None:
            inside = table.loggers.balanced[table.loggers.own]
            for version in np.flatnonzero(table.loggers.balanced):
                mine = table.loggers.own == version
                among[mine] = table.eligible[mine].any(axis=0)
        mixed = (usable & among).sum(axis=0) / np.maximum(among.sum(axis=0), 1)
        share = (inside.sum() * mixed + usable[~inside].sum(axis=0)) / len(table)
    return np.where(table.chosen >= 0, np.maximum(share, 1.0 / len(table))[chosen], 1.0)


def regions_of(table: TrainingTable) -> IntArray:
    """Index into ``REGIONS`` of every request, shape (n,)."""
    length = np.array([len(query.ask) for query in table.queries])
    tools = np.array([bool(query.tools) for query in table.queries])
    region: IntArray = 2 * tools.astype(np.int64) + (length > np.median(length))
    return region


def largest_weight(log: LoggedFeedback, candidates: IntArray | None = None) -> float:
    """Largest inverse probability among all requests, labelled or not.

    ``candidates``, columns, are those that may be played; requests of others get no weight.
    """
    weight = 1.0 / (log.propensity * log.label_prob)
    played = weight if candidates is None else weight[np.isin(log.action, candidates)]
    return float(played.max(initial=1.0))
