"""What an experiment on live traffic says of a challenger, in the terms of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    decisions: Sequence[str], question: PromoteConfig, *, version: str, planned_units: int
) -> Tried:
    """Ask the experiment of a version; its intervals may be looked at after every cycle.

    Parameters
    ----------
    decisions : the services' decision logs
    question : the gate's: its join of them, mode, margin, cost weight and ``alpha`` (one-sided)
    """
    if question.joined is None or not question.joined.is_dir():
        return Tried("too early", "nothing new of its experiment")
    config = ExperimentConfig(
        action="report",
        log=tuple(map(Path, decisions)),
        joined=question.joined,
        version=version,
        cost_weight=question.cost_weight,
        alpha=2.0 * question.alpha,
        planned_units=planned_units,
    )
    try:
        name, found = experiment.run(config)
    except DataError as error:
        return Tried("too early", str(error))
    metric = "quality" if question.mode == "save" else "utility"
    allowed = 0.0 if question.mode == "superior" else question.margin
    lift = found.metrics[metric].lift
    text = (
        f"experiment {name}, {found.units[0]:,} and {found.units[1]:,} sessions: {metric} "
        f"{lift.value:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}], needed above {-allowed:+g}"
    )
    if lift.low > -allowed:
        return Tried("passed", text)
    return Tried("refused" if lift.high <= -allowed else "too early", text)
