"""What an experiment on live traffic says of a challenger, in the terms of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pipelines.config import ExperimentConfig, PromoteConfig
from pipelines.stages import experiment
from router_ml.errors import DataError

Verdict = Literal["passed", "refused", "too early"]


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known by now, and a sentence with the numbers."""

    verdict: Verdict
    text: str


def look(
    log: Sequence[Path],
    question: PromoteConfig,
    *,
    version: str,
    champion: str,
    since: datetime,
    planned_units: int,
) -> Tried:
    """Ask the experiment of a version; its intervals may be looked at after every cycle.

    Parameters
    ----------
    log : files of the services' decision logs
    champion : version that it is judged against
    since : decisions before it (naive UTC) are not read
    question : the gate's: its join of them, mode, margin, cost weight and ``alpha`` (one-sided)
    """
    if question.joined is None or not question.joined.is_dir():
        return Tried("too early", "nothing new of its experiment")
    config = ExperimentConfig(
        action="report",
        log=tuple(log),
        joined=question.joined,
        version=version,
        champion=champion,
        since=since,
        cost_weight=question.cost_weight,
        alpha=2.0 * question.alpha,
        planned_units=planned_units,
    )
    try:
        found = experiment.run(config)
    except DataError as error:
        return Tried("too early", str(error))
    metric = "quality" if question.mode == "save" else "utility"
    allowed = 0.0 if question.mode == "superior" else question.margin
    lift, units = found.report.metrics[metric].lift, found.report.units
    text = (
        f"experiment {found.name}, {units[0]:,} and {units[1]:,} sessions: {metric} "
        f"{lift.value:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}], needed above {-allowed:+g}"
    )
    if lift.low > -allowed:
        return Tried("passed", text)
    return Tried("refused" if lift.high <= -allowed else "too early", text)
