"""What an experiment of the service shows: its decision log and the outcomes joined from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.artifacts import JoinedFolder
from pipelines.config import ExperimentConfig
from router_ml.decision_log.verify import lines_of, log_files
from router_ml.errors import DataError
from router_ml.evaluation.experiment import ExperimentReport, ExperimentRows, report

_COLUMNS = ("quality", "cost_usd", "latency_ms")


def run(config: ExperimentConfig) -> tuple[str, ExperimentReport]:
    """Name and report of an experiment.

    Raises
    ------
    DataError
        If the log has no such experiment, or no outcome belongs to it.
    """
    decisions = [*_decisions(config.log, config.name)]
    if config.version:
        decisions = _since_first(decisions, config.version)
    if not decisions:
        of = f" with version {config.version}" if config.version else ""
        raise DataError(
            f"the log has no decision of {config.name or 'an experiment'}{of}: set CHALLENGER and "
            "CHALLENGER_SHARE of the service"
        )
    name = config.name or str(decisions[-1]["experiment"])
    mine = {row["decision_id"]: row for row in decisions if row["experiment"] == name}
    table = pq.read_table(
        JoinedFolder(config.joined).outcomes, columns=["decision_id", *_COLUMNS]
    ).to_pydict()
    places = [(i, mine[d]) for i, d in enumerate(table["decision_id"]) if d in mine]
    if not places:
        raise DataError(
            f"no outcome in {config.joined} belongs to experiment {name}: join its decision log"
        )
    codes: dict[str, int] = {}
    columns = {
        column: np.array([_number(table[column][i]) for i, _ in places]) for column in _COLUMNS
    }
    rows = ExperimentRows(
        unit=np.array([codes.setdefault(row["unit"], len(codes)) for _, row in places]),
        challenger=np.array([row["arm"] == "challenger" for _, row in places]),
        share=np.array([float(row["challenger_share"]) for _, row in places]),
        **columns,
    )
    weight = _cost_weight(decisions) if config.cost_weight is None else config.cost_weight
    found = report(rows, cost_weight=weight, alpha=config.alpha, planned=config.planned_units)
    return name, found


def _decisions(log: tuple[Path, ...], name: str) -> Iterator[dict[str, Any]]:
    for path in log_files(log):
        for line in lines_of(path):
            if b'"experiment":null' in line or b'"experiment":"' not in line:
                continue
            try:
                row = json.loads(line)
            except ValueError:  # torn by a crash
                continue
            served = row.get("kind") == "decision" and row.get("challenger_share")
            if served and row.get("experiment") and name in ("", row["experiment"]):
                yield row


def _since_first(decisions: list[dict[str, Any]], version: str) -> list[dict[str, Any]]:
    """Decisions of both arms since the first of a challenger's version, without other ones."""

    def is_other(row: dict[str, Any]) -> bool:
        return row["arm"] == "challenger" and str(row["router_version"]) != version

    first = min(
        (row["time"] for row in decisions if row["arm"] == "challenger" and not is_other(row)),
        default=None,
    )
    if first is None:
        return []
    return [row for row in decisions if row["time"] >= first and not is_other(row)]


def _cost_weight(decisions: list[dict[str, Any]]) -> float:
    """That of the champion's utilities, as its rankings have it."""
    for row in reversed(decisions):
        for line in row["ranking"]:
            if row["arm"] != "challenger" and line["cost_usd"]:
                return float((line["quality"] - line["utility"]) / line["cost_usd"])
    return 0.0


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
