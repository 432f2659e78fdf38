"""The operator's side: prices, what is announced, and the loop that does the rest."""

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

from pipelines.artifacts import TrainedFolder
from pipelines.loop.config import LoopConfig
from pipelines.loop.machine import Loop, holding
from pipelines.loop.store import Store
from pipelines.simulation.config import SimulateConfig
from pipelines.simulation.retraining import Retraining
from pipelines.simulation.world import WorldState
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
    """Announces prices and candidates, and runs the loop over history and decision log.

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

    def announce(self, state: WorldState) -> None:
        """Put the prices in force on the list."""
        now = datetime.now(UTC).replace(tzinfo=None)
        self.prices.update(state.candidates, state.names, now)

    def cycle(self, state: WorldState, *, known: str = "") -> Retraining | None:
        """One cycle of the loop; what it retrained, if it did.

        Parameters
        ----------
        state : its candidates are those to route among
        known : what was announced; the operator answers for it by an override, because no log can
            show yet what a new candidate or price is worth
        """
        config = self.loop_config(state)
        if known:
            override = {"override_by": OPERATOR, "override_reason": known}
            config = replace(config, because=known, promote={**config.promote, **override})
        store = Store.below(config.output, name=MODEL)
        loop = Loop(config, store)
        with holding(store):
            found = loop.cycle()
        store.close()
        if not found.version:
            return None
        at = loop.steps.folder(found)
        trained = json.loads(TrainedFolder(at.trained).report.read_text(encoding="utf-8"))
        return Retraining(
            version=found.version,
            promoted=found.outcome == "promoted",
            overridden=bool(known),
            because="; ".join(found.reasons),
            report=(at.root / "gate.txt").read_text(encoding="utf-8"),
            changes=tuple(trained["changes"]),
            runtime=Runtime.from_folder(at.bundle),
        )

    def loop_config(self, state: WorldState) -> LoopConfig:
        """The loop over this simulation's log."""
        config, history = self.config, self.folder / "history"
        return LoopConfig(
            requests=(str(history / "requests.parquet"),),
            labels=(str(history / "labels.parquet"),),
            decisions=(str(self.decisions),),
            prices=(str(self.prices.path),),
            output=self.folder / "loop",
            cache=config.cache,
            name=MODEL,
            retrain_labels=config.retrain_labels,
            min_labels=config.alarm_labels,
            trial=config.trial,
            trial_labels=config.trial_labels,
            evaluation=False,
            once=True,
            train={
                "quality": config.quality,
                "candidates": state.names,
                "policy": {
                    "name": "boltzmann",
                    "temperature": config.temperature,
                    "cost_weight": self.cost_weight,
                    "floor": config.floor,
                },
            },
            export={"parity_queries": 200},
            promote={
                "mode": config.mode,
                "margin": config.margin,
                "cost_weight": self.cost_weight,
                "alpha": config.alpha,
                "support_by_region": False,  # a log this small has few labels in any region
                "max_p50_ms": 50.0,  # the machine is busy with the traffic's other side, too
                "max_p99_ms": 200.0,
                "latency_queries": 50,
            },
            keep_cycles=1_000,
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
