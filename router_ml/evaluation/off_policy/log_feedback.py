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
    propensity, source = table.propensity, table.propensity_source
    on = on_offer(table)
    quality = LoggedFeedback(
        action=table.chosen,
        propensity=propensity,
        outcome=table.quality,
        label_prob=label_probability(table) * _share(table, on & ~table.outdated, source),
        group_id=groups,
        propensity_source=source,
    )
    costed = np.isfinite(table.cost_usd)
    known = np.ones(len(table)) if costed.all() else label_probability(table, costed)
    cost_usd = LoggedFeedback(
        action=table.chosen,
        propensity=propensity,
        outcome=table.cost_usd,
        label_prob=known * _share(table, on, source),
        group_id=groups,
        propensity_source=source,
    )
    return quality, cost_usd


def _share(table: TrainingTable, usable: BoolArray, source: str) -> FloatArray:
    """Share of the log that can tell of the candidate chosen, shape (n,).

    Of all requests, since a logged propensity is that of its own time; of the candidate's own,
    where propensities are estimated over the whole log and know of its absence. At least that of
    one request, so that what is void from end to end stays a probability.
    """
    chosen = np.maximum(table.chosen, 0)
    mine = np.eye(len(table.candidates), dtype=bool)[chosen] & (table.chosen >= 0)[:, None]
    among = mine if source == "estimated" else np.ones_like(mine)
    share = (usable & among).sum(axis=0) / np.maximum(among.sum(axis=0), 1)
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
