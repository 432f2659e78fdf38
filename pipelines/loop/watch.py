"""Is the champion worse than its predecessor? Asked after every cycle, of what was logged since.

The log's own decisions, with their propensities, judge both: doubly robust values of the
predecessor less those of the champion, and a one-sided confidence sequence, which may be looked at
after every cycle (:class:`router_ml.evaluation.gate.gate.Gate`, ``peeking="sequence"``). What the
log cannot judge counts against the predecessor.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pipelines.config import PromoteConfig
from pipelines.registry.promotion import check_support
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import contender, registry_client
from router_ml.errors import DataError
from router_ml.evaluation.gate.gate import Gate, GateReport
from router_ml.evaluation.gate.pairing import pair
from router_ml.types.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Watched:
    """What the log since its promotion says of a champion.

    Parameters
    ----------
    worse : whether it is shown to be worse than its predecessor
    text : with the numbers
    """

    worse: bool
    text: str


def compare(
    config: PromoteConfig, *, champion: str, predecessor: str, since: datetime, alpha: float
) -> Watched:
    """Hold a champion against its predecessor on the requests logged since ``since``.

    Parameters
    ----------
    config : the gate's: its log, and what counts: utility at ``cost_weight``; in mode ``save``
        quality, of which ``margin`` may be lost
    alpha : probability that a champion which is not worse is ever called so
    """
    gate = Gate(mode="superior", alpha=alpha, cost_weight=config.cost_weight, peeking="sequence")
    with tempfile.TemporaryDirectory(prefix="router-watch-") as folder:
        with registry_errors("fetch champion and predecessor"):
            client = registry_client()
            former = contender(client, config.name, predecessor, Path(folder))
            present = contender(client, config.name, champion, Path(folder))
        try:
            rows = pair(
                former,
                present,
                joined=config.joined,
                matrix=None,
                by_region=config.support_by_region,
                since=np.datetime64(since, "us"),
            )
        except DataError as error:
            return Watched(False, f"version {champion} cannot be judged yet: {error}")
    allowed = config.margin if config.mode == "save" else 0.0

    def judge(quality: FloatArray) -> GateReport:
        return gate.judge(
            quality - allowed,
            rows.cost_difference,
            group_id=rows.group_id,
            labelled_rows=rows.labelled_rows,
        )

    report, unjudged = judge(rows.quality_difference), rows.worst_quality_difference
    support = check_support(rows, None if unjudged is None else judge(unjudged))
    check = report.checks[0]
    return Watched(
        report.passed and support.passed,
        f"version {predecessor} less version {champion}, on {rows.labelled_rows:,} labelled "
        f"requests since {since:%Y-%m-%d %H:%M}: {check.reason}; {support.reason}",
    )
