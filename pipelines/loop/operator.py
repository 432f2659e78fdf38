"""The operator's side: prices, and every stage from the logs to the alias."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipelines.artifacts import JoinedFolder, TrainedFolder
from pipelines.config import ExportConfig, JoinConfig, PromoteConfig, RegisterConfig, TrainConfig
from pipelines.loop.config import SimulateConfig
from pipelines.loop.retraining import Retraining
from pipelines.loop.world import WorldState
from pipelines.stages import export, join, promote, register, train
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable

OPERATOR: Final = "the operator"
MODEL: Final = "router"
ADDRESS: Final = f"models:/{MODEL}@champion"
_COLUMNS: Final = ("candidate", "valid_from", "valid_to", "input_usd_per_mtok",
                   "output_usd_per_mtok")  # fmt: skip


class PriceList:
    """A price file with validity windows: a new price ends the window of the old one.

    Parameters
    ----------
    path : CSV file, written by :meth:`update`
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] = []

    def update(self, candidates: CandidateTable, names: tuple[str, ...], now: datetime) -> None:
        """Hold these prices of ``names`` from ``now`` on (naive UTC); first ones from ever."""
        text = now.isoformat()
        for name in names:
            k = candidates.index(name)
            prices = (float(candidates.input_usd_per_mtok[k]),
                      float(candidates.output_usd_per_mtok[k]))  # fmt: skip
            held = [row for row in self._rows if row["candidate"] == name and not row["valid_to"]]
            if held and tuple(held[0][column] for column in _COLUMNS[3:]) == prices:
                continue
            for row in held:
                row["valid_to"] = text
            window = (name, text if held else "", "", *prices)
            self._rows.append(dict(zip(_COLUMNS, window, strict=True)))
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(self._rows)


class Operator:
    """Retrains from the history and the decision log, and asks the gate.

    Parameters
    ----------
    config : of the simulation
    folder : holds ``history/`` and ``decisions/``; everything else is written to it
    cost_weight : quality per dollar, of the policy and of the gate
    """

    def __init__(self, *, config: SimulateConfig, folder: Path, cost_weight: float) -> None:
        self.config = config
        self.folder = folder
        self.decisions = folder / "decisions"
        self.cost_weight = cost_weight
        self.prices = PriceList(folder / "prices.csv")
        self._number = 0

    def announce(self, state: WorldState) -> None:
        """Put the prices in force on the list."""
        now = datetime.now(UTC).replace(tzinfo=None)
        self.prices.update(state.candidates, state.names, now)

    def retrain(self, state: WorldState, *, known: str = "") -> Retraining:
        """Join, train, export, register, and promote if the gate lets it.

        Parameters
        ----------
        state : its candidates are those to route among
        known : what was announced; the operator answers for it by an override, because no log can
            show yet what a new candidate or price is worth
        """
        self._number += 1
        work = self.folder / "retrainings" / f"{self._number:02d}"
        config = self.config
        joined = join.run(self._join(work / "joined"))
        trained = train.run(
            TrainConfig(
                joined=joined,
                output=work / "trained",
                quality=config.quality,
                candidates=state.names,
                detect_changes=True,
                policy={
                    "name": "boltzmann",
                    "temperature": config.temperature,
                    "cost_weight": self.cost_weight,
                    "floor": config.floor,
                    "trial": self._on_trial(joined, state),
                },
                cache=config.cache,
            )
        )
        bundle = export.run(
            ExportConfig(trained=trained, joined=joined, output=work / "export", parity_queries=200)
        )
        version = register.run(
            RegisterConfig(bundle=bundle, trained=trained, joined=joined, name=MODEL)
        )
        question = PromoteConfig(
            joined=joined,
            name=MODEL,
            mode="superior",
            cost_weight=self.cost_weight,
            alpha=config.alpha,
            support_by_region=False,  # a log this small has few labels in any region
            max_p50_ms=50.0,  # the machine is busy with the traffic's other side, too
            max_p99_ms=200.0,
            latency_queries=50,
        )
        if known:
            question = replace(question, override_by=OPERATOR, override_reason=known)
        report = promote.run(question)
        (work / "gate.txt").write_text(report.text, encoding="utf-8")
        found = json.loads(TrainedFolder(trained).report.read_text(encoding="utf-8"))
        return Retraining(
            version=version,
            promoted=report.promoted,
            overridden=bool(report.override_by),
            report=report.text,
            changes=tuple(found["changes"]),
            runtime=Runtime.from_folder(bundle),
        )

    def _on_trial(self, joined: Path, state: WorldState) -> dict[str, float]:
        """Share of every candidate that the log knows too little of."""
        report = json.loads(JoinedFolder(joined).report.read_text(encoding="utf-8"))
        labels = {row["candidate"]: row["labelled"] for row in report["candidates"]}
        few = [name for name in state.names if labels.get(name, 0) < self.config.trial_labels]
        return dict.fromkeys(few, self.config.trial)

    def _join(self, output: Path) -> JoinConfig:
        history = self.folder / "history"
        return JoinConfig(
            requests=(str(history / "requests.parquet"),),
            labels=(str(history / "labels.parquet"),),
            decisions=(str(self.decisions),) if self.decisions.is_dir() else (),
            prices=(str(self.prices.path),),
            output=output,
        )


@contextmanager
def own_registry(folder: Path) -> Iterator[None]:
    """A registry in a SQLite file of its own; what was configured before comes back."""
    folder.mkdir(parents=True, exist_ok=True)
    key = "MLFLOW_TRACKING_URI"
    former = os.environ.get(key)
    os.environ[key] = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    try:
        yield
    finally:
        os.environ.pop(key)
        if former is not None:
            os.environ[key] = former
