"""What an experiment of the service shows: its decision log and the outcomes joined from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.artifacts import JoinedFolder
from pipelines.config import ExperimentConfig
from router_ml.decision_log.verify import lines_of, log_files
from router_ml.errors import DataError
from router_ml.evaluation.experiment import ExperimentReport, ExperimentRows, report

_COLUMNS: Final = ("quality", "cost_usd", "latency_ms")
_NEVER: Final = "~"
"""After every time in ISO 8601."""


@dataclass(frozen=True, slots=True)
class Reported:
    """An experiment's name and report.

    Parameters
    ----------
    note : which versions an arm mixes; ``""`` where each is of one
    """

    name: str
    report: ExperimentReport
    note: str


class _Decision(NamedTuple):
    """What is kept of a row; the log may have millions."""

    decision_id: str
    time: str
    experiment: str
    is_challenger: bool
    version: str
    unit: str
    share: float
    cost_weight: float | None


def run(config: ExperimentConfig) -> Reported:
    """Report on an experiment.

    Raises
    ------
    DataError
        If the log has no such experiment, or no outcome belongs to it.
    """
    found = [*_decisions(config)]
    asked = (d for d in found if config.version in ("", d.version))
    latest = max(asked, key=lambda decision: decision.time, default=None)
    name = config.name or ("" if latest is None else latest.experiment)
    decisions = _counted([d for d in found if d.experiment == name], config)
    if not decisions:
        raise DataError(_nothing(config, found))
    mine = {decision.decision_id: decision for decision in decisions}
    wanted = pc.field("decision_id").isin(list(mine))
    table = pq.read_table(
        JoinedFolder(config.joined).outcomes, columns=["decision_id", *_COLUMNS], filters=wanted
    )
    rows = [mine[one] for one in table["decision_id"].to_pylist()]
    if not rows:
        raise DataError(
            f"no outcome in {config.joined} belongs to experiment {name}: join its decision log"
        )
    codes: dict[str, int] = {}
    weights = [d.cost_weight for d in decisions if d.cost_weight is not None]
    judged = report(
        ExperimentRows(
            unit=np.array([codes.setdefault(row.unit, len(codes)) for row in rows]),
            challenger=np.array([row.is_challenger for row in rows]),
            share=np.array([row.share for row in rows]),
            **{column: table[column].to_numpy() for column in _COLUMNS},
        ),
        cost_weight=weights[-1] if weights else config.cost_weight or 0.0,
        alpha=config.alpha,
        planned=config.planned_units,
    )
    return Reported(name, judged, _note(decisions))


def _decisions(config: ExperimentConfig) -> Iterator[_Decision]:
    since = "" if config.since is None else config.since.isoformat()
    for path in log_files(config.log):
        for line in lines_of(path):
            if b'"experiment":null' in line or b'"experiment":"' not in line:
                continue
            try:
                row = json.loads(line)
            except ValueError:  # torn by a crash
                continue
            served = row.get("kind") == "decision" and row.get("challenger_share")
            name = row.get("experiment")
            if served and name and config.name in ("", name) and row["time"] >= since:
                yield _Decision(
                    decision_id=row["decision_id"],
                    time=row["time"],
                    experiment=sys.intern(name),
                    is_challenger=row["arm"] == "challenger",
                    version=sys.intern(str(row["router_version"])),
                    unit=sys.intern(row["unit"]),
                    share=float(row["challenger_share"]),
                    cost_weight=None if config.cost_weight is not None else _cost_weight(row),
                )


def _cost_weight(row: Mapping[str, Any]) -> float | None:
    """That of a champion's utilities, as its ranking has it."""
    priced = (line for line in row["ranking"] if line["cost_usd"])
    line = None if row["arm"] == "challenger" else next(priced, None)
    return None if line is None else (line["quality"] - line["utility"]) / line["cost_usd"]


def _counted(decisions: list[_Decision], config: ExperimentConfig) -> list[_Decision]:
    """Decisions from the time on in which each arm is the version that is asked for.

    Both arms begin together: what came before was another time, not only another router. Requests
    that the challenger left to the champion stay in its arm.
    """
    if config.version:
        allowed = {config.version, *_versions(decisions, of_challenger=False)}
        own = (d.time for d in decisions if d.is_challenger and d.version == config.version)
        first = min(own, default=_NEVER)
        since = (d for d in decisions if d.time >= first)
        decisions = [d for d in since if not d.is_challenger or d.version in allowed]
    if config.champion:
        arm = [d for d in decisions if not d.is_challenger]
        last = max((d.time for d in arm if d.version != config.champion), default="")
        first = min((d.time for d in arm if d.time > last), default=_NEVER)
        decisions = [d for d in decisions if d.time >= first]
    return decisions


def _versions(decisions: Sequence[_Decision], *, of_challenger: bool) -> list[str]:
    """That decided in an arm, the latest last."""
    latest: dict[str, str] = {}
    for d in decisions:
        if d.is_challenger == of_challenger:
            latest[d.version] = max(d.time, latest.get(d.version, ""))
    return sorted(latest, key=lambda version: latest[version])


def _nothing(config: ExperimentConfig, found: Sequence[_Decision]) -> str:
    """Why no decision is left."""
    text = f"the log has no decision of {config.name or 'an experiment'}"
    if config.version:
        text += f" with version {config.version}"
    if config.champion:
        text += f" beside champion {config.champion} alone"
    if not found:
        return f"{text}: set CHALLENGER and CHALLENGER_SHARE of the service"
    champions, challengers = (_versions(found, of_challenger=arm) for arm in (False, True))
    return (
        f"{text}; by the latest, champions are {', '.join(champions) or 'none'} and challengers "
        f"{', '.join(challengers) or 'none'}"
    )


def _note(decisions: Sequence[_Decision]) -> str:
    champions, challengers = (_versions(decisions, of_challenger=arm) for arm in (False, True))
    others = [version for version in challengers if version not in champions]
    return "; ".join(
        f"the {arm}'s arm is of versions {', '.join(versions)} together: with --{option} "
        f"{versions[-1]} only its own time is counted"
        for arm, option, versions in (
            ("champion", "champion", champions),
            ("challenger", "version", others),
        )
        if len(versions) > 1
    )
