"""The counts of one worker at a moment, and the sum of several workers'.

Each worker writes its snapshot to a folder that all share, a little more often than Prometheus
looks; whichever worker a scrape reaches adds the others' to its own. Counters of a worker that has
ended stay in the sum, so that no total goes back; its gauges do not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from serving.control.control import Control
from serving.heartbeat import Heartbeat
from serving.loading.loader import Loader
from serving.log.decision_log import DecisionLog
from serving.telemetry import Telemetry

Counts = dict[str, float]
_FILE: Final = "metrics-{pid}.json"
_SEPARATOR: Final = "\x1f"
_MOST_ACCOUNTS: Final = 1_000
"""Accounts of budgets that are shown; names of tags are made by callers."""
QUANTILES: Final = (0.5, 0.95, 0.99)
STATES: Final = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


class Beat(msgspec.Struct, gc=False):
    """A background loop's state."""

    age_s: float
    failing: bool
    failures: int


class Snapshot(msgspec.Struct, kw_only=True):
    """Counters by family and label values, and gauges."""

    pid: int
    counters: dict[str, Counts] = {}
    histograms: dict[str, list[int]] = {}
    seconds: Counts = {}
    gauges: Counts = {}
    labelled: dict[str, Counts] = {}
    beats: dict[str, Beat] = {}
    routers: tuple[tuple[str, str, str], ...] = ()

    def add_ended(self, other: Snapshot) -> None:
        """Add a worker's counters alone: it has ended."""
        for family, counts in other.counters.items():
            mine = self.counters.setdefault(family, {})
            for label, n in counts.items():
                mine[label] = mine.get(label, 0.0) + n
        for endpoint, buckets in other.histograms.items():
            known = self.histograms.get(endpoint, [0] * len(buckets))
            self.histograms[endpoint] = [a + b for a, b in zip(known, buckets, strict=True)]
        for endpoint, seconds in other.seconds.items():
            self.seconds[endpoint] = self.seconds.get(endpoint, 0.0) + seconds

    def add(self, other: Snapshot) -> None:
        """Add a running worker: counters and waiting rows sum up, the worst of the rest holds."""
        self.add_ended(other)
        for name, value in other.gauges.items():
            known = self.gauges.get(name, 0.0)
            self.gauges[name] = known + value if "waiting" in name else max(known, value)
        for family, values in other.labelled.items():
            gauge = self.labelled.setdefault(family, {})
            for label, value in values.items():
                gauge[label] = max(gauge.get(label, value), value)
        for loop, beat in other.beats.items():
            mine = self.beats.get(loop)
            if mine is None:
                self.beats[loop] = beat
            else:
                self.beats[loop] = Beat(
                    max(mine.age_s, beat.age_s),
                    mine.failing or beat.failing,
                    mine.failures + beat.failures,
                )


def snapshot(
    telemetry: Telemetry,
    loaders: Sequence[Loader],
    log: DecisionLog | None,
    heartbeats: Iterable[Heartbeat],
    control: Control,
) -> Snapshot:
    """The process as it is now."""
    counters: dict[str, Counts] = {
        "requests": {key(*labels): n for labels, n in telemetry.requests.items()},
        "decisions": dict(telemetry.decisions),
        "removed": dict(telemetry.removed),
        "feedback": dict(telemetry.feedback),
        "shed": {key(*labels): n for labels, n in telemetry.shed.items()},
        "refused": dict(telemetry.refused),
        "predicted": dict(telemetry.predicted),
        "compared": dict(telemetry.compared),
        "realised": {name: total[0] for name, total in telemetry.realised.items()},
        "realised_n": {name: total[1] for name, total in telemetry.realised.items()},
        "stage_seconds": {name: total[0] for name, total in telemetry.stages.items()},
        "stage_n": {name: total[1] for name, total in telemetry.stages.items()},
        "loads": {"": sum(loader.swaps for loader in loaders)},
        "load_failures": {"": sum(loader.failures for loader in loaders)},
        "experiment": dict(telemetry.experiment),
        "health_reports": {key(*labels): n for labels, n in control.health.reports.items()},
        "breaker_opened": {name: b.opened for name, b in control.health.breakers.items()},
        "budget_refused": dict(control.budgets.refused),
        "budget_cheapest": dict(control.budgets.cheapest),
    }
    gauges: Counts = {"reload_failing": float(any(loader.error is not None for loader in loaders))}
    if log is not None:
        outcomes = {"written": log.written, "dropped": log.dropped, "failed": log.failed}
        counters["log_rows"] = dict(outcomes)
        gauges |= {"waiting_rows": log.waiting_rows, "waiting_bytes": log.waiting_bytes}
    routers = [loader.current for loader in loaders if loader.current is not None]
    return Snapshot(
        pid=os.getpid(),
        counters=counters,
        histograms={name: list(buckets) for name, buckets in telemetry.buckets.items()},
        seconds=dict(telemetry.seconds),
        gauges=gauges,
        labelled=_labelled(control),
        beats={
            beat.name.replace(" ", "_"): Beat(beat.age_s, beat.problem is not None, beat.failures)
            for beat in heartbeats
        },
        routers=tuple(
            (router.name.name, router.name.version, router.runtime.manifest.bundle_id)
            for router in routers
        ),
    )


def _labelled(control: Control) -> dict[str, Counts]:
    """Gauges by label values: breakers, times of candidates, budgets."""
    health, budgets = control.health, control.budgets
    caps = {budget.name: budget.usd for budget in budgets.budgets}
    now = time.time()
    spent = {
        key(name, scope): account.spent
        for (name, scope), account in [*budgets.accounts.items()][:_MOST_ACCOUNTS]
        if name in caps and account.end > now
    }
    return {
        "breaker_state": {name: STATES[b.state] for name, b in health.breakers.items()},
        "candidate_ms": {
            key(name, what.removesuffix("_ms"), level): value
            for (name, what, level), value in health.quantiles(*QUANTILES).items()
        },
        "budget_spent": spent,
        "budget_cap": caps,
        "sessions": {} if control.sessions is None else {"": float(len(control.sessions))},
        "session_bytes": {} if control.sessions is None else {"": float(control.sessions.size)},
    }


def key(*labels: object) -> str:
    """Label values as one key of JSON."""
    return _SEPARATOR.join(map(str, labels))


def labels_of(text: str) -> tuple[str, ...]:
    """The label values of a key."""
    return tuple(text.split(_SEPARATOR))


def write(folder: Path, mine: Snapshot) -> None:
    """Put a worker's snapshot where the others find it."""
    scratch = folder / f".{mine.pid}"
    scratch.write_bytes(msgspec.json.encode(mine))
    scratch.replace(folder / _FILE.format(pid=mine.pid))


def of_all(folder: Path, mine: Snapshot) -> Snapshot:
    """A worker's snapshot with those of the others."""
    for path in sorted(folder.glob(_FILE.format(pid="*"))):
        try:
            other = msgspec.json.decode(path.read_bytes(), type=Snapshot)
        except (OSError, msgspec.MsgspecError):
            continue
        if other.pid != mine.pid:
            (mine.add if _runs(other.pid) else mine.add_ended)(other)
    return mine


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
