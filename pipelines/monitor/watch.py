"""A monitor's folder: one look at the log, and everything that is kept between looks."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.artifacts import check_own
from pipelines.config.monitor import MonitorConfig
from pipelines.monitor.clusters import QueryClusters
from pipelines.monitor.log import LogReader, Outcome
from pipelines.monitor.measures import take_measures
from pipelines.monitor.prices import PriceCheck
from pipelines.monitor.segments import CLUSTER, Segmenter
from pipelines.monitor.traffic import TrafficWatch
from router_ml.errors import DataError
from router_ml.monitoring.alarm import Alarm, alarm_from
from router_ml.monitoring.monitor import Monitor
from router_ml.monitoring.signals import Observations
from router_ml.runtime.runtime import Runtime

STATE: Final = "state.npz"
ALARMS: Final = "alarms.jsonl"
_FOLLOWED: Final = 3
"""Router versions whose outcomes are still followed; older ones are forgotten."""
_FORMAT: Final = 1
_ROWS: Final = 200
"""Of the log that are taken at a time; an alarm's time is that of the last."""


class Watch:
    """Follows a log with one monitor a router version.

    Parameters
    ----------
    config : what to read and what to say

    Attributes
    ----------
    monitors : by bundle id
    """

    def __init__(self, config: MonitorConfig) -> None:
        self.config = config
        self.folder = config.output
        self.monitors: dict[str, Monitor] = {}
        runtime = None if config.bundle is None else Runtime.from_folder(config.bundle)
        self.clusters: QueryClusters | None = None
        self.traffic: TrafficWatch | None = None
        if runtime is not None:
            self.clusters = QueryClusters(runtime)
            self.traffic = TrafficWatch(self.clusters)
        self.reader = LogReader(
            log=config.log,
            segmenter=Segmenter(kinds=config.segments),
            sources=config.sources,
            prices=PriceCheck(
                None if runtime is None or config.prices == "learned" else runtime.candidates
            ),
        )
        check_own(self.folder, self.folder / STATE)
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / STATE).is_file():
            self._load()
        else:
            self._save()

    def look(self) -> list[Alarm]:
        """Read what is new in the log, write alarms and state; the new alarms."""
        new: list[Alarm] = []
        while rows := self.reader.new_rows():
            found: list[Alarm] = []
            for begin in range(0, len(rows), _ROWS):
                some = rows[begin : begin + _ROWS]
                segmented = self.clusters if CLUSTER in self.config.segments else None
                clusters = segmented.of(some) if segmented else {}
                found += self._test(self.reader.outcomes(some, clusters))
                found += self._traffic(some)
            new += append_alarms(self.folder / ALARMS, found)
            if self.config.measures is not None:
                # All that were found: a monitor that was killed before this does it now.
                take_measures(self.config.measures, found, explore_share=self.config.explore_share)
            self._save()
        if not (self.folder / ALARMS).exists():
            (self.folder / ALARMS).touch()
        return new

    def _test(self, outcomes: Sequence[Outcome]) -> list[Alarm]:
        found: list[Alarm] = []
        parts: dict[tuple[str, str, str], list[Outcome]] = {}
        for outcome in outcomes:
            key = outcome.bundle, outcome.signal, outcome.label
            parts.setdefault(key, []).append(outcome)
        for (bundle, _, _), some in parts.items():
            found += self._monitor(bundle).update(observations(some, self.config.segments))
        return found

    def _traffic(self, rows: Sequence[dict[str, Any]]) -> list[Alarm]:
        """Requests that the bundle decided whose reference is known."""
        watch = self.traffic
        if watch is None:
            return []
        mine = [r for r in rows if r["kind"] == "decision" and r["bundle_id"] == watch.bundle]
        return watch.take(self._monitor(watch.bundle), mine) if mine else []

    def _monitor(self, bundle: str) -> Monitor:
        if bundle not in self.monitors:
            self.monitors[bundle] = Monitor(
                candidates=self.reader.candidates[bundle],
                kinds=self.config.segments,
                alpha=self.config.alpha,
                actions=self.config.actions,  # type: ignore[arg-type]  # checked by the config
                mask_below=self.config.mask_below,
                version=self.reader.versions[bundle],
            )
            for old in [*self.monitors][:-_FOLLOWED]:
                del self.monitors[old]
        return self.monitors[bundle]

    def _save(self) -> None:
        told: dict[str, Any] = {
            "format": _FORMAT,
            "reader": self.reader.state(),
            "monitors": {},
            "sessions": self.traffic.state() if self.traffic else [],
        }
        arrays: dict[str, Any] = {}
        for number, (bundle, monitor) in enumerate(self.monitors.items()):
            told["monitors"][bundle], own = monitor.state()
            arrays |= {f"{number}/{name}": value for name, value in own.items()}
        text = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
        scratch = self.folder / f".{STATE}"
        with scratch.open("wb") as file:
            np.savez(file, told=text, **arrays)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.folder / STATE)

    def _load(self) -> None:
        path = self.folder / STATE
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            told = json.loads(arrays.pop("told").tobytes())
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"expected a monitor's state at {path}: {error}; move the folder away to begin anew"
            ) from error
        if told["format"] != _FORMAT:
            raise DataError(
                f"{path} is of format {told['format']}, this release reads {_FORMAT}; move the "
                "folder away to begin anew"
            )
        self.reader.load(told["reader"])
        if self.traffic is not None:
            self.traffic.load(told["sessions"])
        for number, (bundle, state) in enumerate(told["monitors"].items()):
            own = {
                name.partition("/")[2]: value
                for name, value in arrays.items()
                if name.partition("/")[0] == str(number)
            }
            self._monitor(bundle).load(state, own)


def observations(outcomes: Sequence[Outcome], kinds: Sequence[str]) -> Observations:
    """Outcomes of one signal and label as arrays."""
    return Observations(
        signal=outcomes[0].signal,
        label=outcomes[0].label,
        time=np.array([outcome.time.removesuffix("Z") for outcome in outcomes], "datetime64[us]"),
        candidate=[outcome.candidate for outcome in outcomes],
        predicted=np.array([outcome.predicted for outcome in outcomes], dtype=float),
        observed=np.array([outcome.observed for outcome in outcomes], dtype=float),
        segments={kind: [o.segments.get(kind, "") for o in outcomes] for kind in kinds},
    )


def append_alarms(path: Path, alarms: Sequence[Alarm]) -> list[Alarm]:
    """Add alarms to a file of JSON lines; those that were not there.

    A monitor that was killed between alarms and state says them again.
    """
    known = {alarm.alarm_id for alarm in read_alarms(path)}
    new = [alarm for alarm in alarms if alarm.alarm_id not in known]
    if new:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(alarm.as_dict(), ensure_ascii=False) + "\n" for alarm in new)
            file.flush()
            os.fsync(file.fileno())
    return new


def read_alarms(path: Path) -> list[Alarm]:
    """Alarms of a file, oldest first; a torn last line is left out."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [alarm_from(json.loads(line)) for line in lines]
