"""How often a monitor cries wolf, and how soon it sees a change, beside a test that knows it."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import expit, logit

from pipelines.benchmarks.monitored import (
    CHANGES,
    COLLAPSED,
    TASK,
    Change,
    MonitoredWorld,
    Played,
    make_world,
    observations,
    play,
)
from pipelines.benchmarks.trials import share_of_trials
from router_ml.evaluation.intervals import Estimate
from router_ml.monitoring.alarm import Alarm
from router_ml.monitoring.models import BinaryModel
from router_ml.monitoring.monitor import Monitor
from router_ml.types.arrays import FloatArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
FIRST_SEED: Final = 1
"""Worlds of seeds from 100 on were those that settings were chosen on."""
REQUESTS: Final = 8_000
"""Of a run without a change."""
BEFORE: Final = 20_000
"""Before a change."""
_WATCHED: Final[Mapping[Change, int]] = {
    "collapse": 1_000, "five_points": 10_000, "slide": 6_000, "one_task": 2_500,
    "one_kind": 10_000, "slower": 1_000, "repriced": 500,
}  # fmt: skip
"""Requests after the change that are waited for."""
_BATCH: Final = 1_000
_CLOSE: Final = {"five_points": 400, "slide": 200, "one_task": 50, "one_kind": 100}
"""Requests between two looks after a change, 20 by default."""
_ORACLE: Final = ("collapse", "five_points")
_WINDOW, _LOOKS = 200, 100
_Z: Final = 3.29
"""Of a two-sided test at 0.1 %, which looks harmless."""


@dataclass(slots=True)
class Found:
    """Of the runs of one change.

    Parameters
    ----------
    labels : outcomes of the candidate until the alarm, infinite where none came; of one task or
        kind, of it
    requests : until the alarm, of all candidates
    right : whether the first alarm names the candidate, and the signal
    held : whether its interval holds the moment of the change
    """

    labels: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class Trials:
    """Of one workload: runs without and with a change, ours and those of two rivals."""

    quiet: list[bool] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=lambda: {c: Found() for c in CHANGES})
    before: list[float] = field(default_factory=list)
    window_quiet: list[bool] = field(default_factory=list)
    window: dict[str, list[float]] = field(default_factory=lambda: {c: [] for c in _ORACLE})
    cusum_quiet: dict[str, list[float]] = field(default_factory=lambda: {c: [] for c in _ORACLE})
    cusum: dict[str, list[list[float]]] = field(default_factory=lambda: {c: [] for c in _ORACLE})
    information: dict[str, list[float]] = field(default_factory=lambda: {c: [] for c in _ORACLE})


def run(
    data: Path,
    out: Path,
    *,
    workloads: Sequence[str],
    cache: Path,
    n_worlds: int,
    n_quiet: int,
    n_changed: int,
    changes: Sequence[Change] = CHANGES,
    segments: Sequence[str] = (TASK,),
    progress: Progress = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>`` as JSON.

    Parameters
    ----------
    data : folder with ``mix/``
    out : JSON file; other workloads that it already holds are kept, and so are the runs of each
        router, in the folder beside it of the same name
    n_worlds : routers that are trained: on synthetic worlds, or on halves of mix
    n_quiet, n_changed : runs of each router, without a change and with each of ``changes``
    segments : kinds that the monitor is told of each request, of task and cluster
    """
    results: dict[str, Any] = json.loads(out.read_bytes()) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in workloads:
        parts = []
        for seed in range(FIRST_SEED, FIRST_SEED + n_worlds):
            part = out.with_suffix("") / f"{name}-{seed}.json"
            if not part.is_file():
                source = None if name == "synthetic" else data / name
                trials = _world_trials(
                    source, seed, cache, n_quiet, n_changed, changes, segments, progress
                )
                part.parent.mkdir(exist_ok=True)
                part.write_text(json.dumps(asdict(trials)), encoding="utf-8")
            parts.append(json.loads(part.read_text(encoding="utf-8")))
        results.setdefault("workloads", {})[name] = {"methods": summarise(_together(parts))}
        out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return out


def _world_trials(
    source: Path | None,
    seed: int,
    cache: Path,
    n_quiet: int,
    n_changed: int,
    changes: Sequence[Change],
    segments: Sequence[str],
    progress: Progress,
) -> Trials:
    """All runs of one router."""
    trials = Trials()
    with tempfile.TemporaryDirectory(prefix="monitor-") as folder:
        world = make_world(source, Path(folder), cache=cache, random_state=seed)
    model = _oracle(world)
    for number in progress(range(n_quiet), f"world {seed}"):
        rng = np.random.default_rng([seed, number])
        wanted = changes if number < n_changed else ()
        trial(world, model, trials, rng, changes=wanted, segments=segments)
    return trials


def _together(parts: Sequence[Mapping[str, Any]]) -> Trials:
    """The runs of several routers, as JSON holds them."""
    whole = Trials()
    for part in parts:
        for kind, rows in part["found"].items():
            for name, values in rows.items():
                getattr(whole.found[kind], name).extend(values)
        for name in ("quiet", "before", "window_quiet"):
            getattr(whole, name).extend(part[name])
        for name in ("window", "cusum_quiet", "cusum", "information"):
            for kind, values in part[name].items():
                getattr(whole, name)[kind].extend(values)
    return whole


def trial(
    world: MonitoredWorld,
    model: FloatArray,
    trials: Trials,
    rng: np.random.Generator,
    *,
    changes: Sequence[Change],
    segments: Sequence[str] = (TASK,),
) -> None:
    """One run without a change, and each of ``changes`` upon it.

    Parameters
    ----------
    model : true log-odds of the relied candidate by recalibrated prediction, shape (N,)
    """
    shares = dict(zip(world.names, world.probs.mean(axis=0).tolist(), strict=True))
    monitor = Monitor(candidates=shares, kinds=segments)
    before = play(world, BEFORE if changes else REQUESTS, rng)
    alarms = _feed(monitor, world, before, _BATCH)[0]
    trials.quiet.append(bool(alarms))
    y, m = _of_relied(world, before, model)
    trials.window_quiet.append(bool(np.isfinite(_window(y - m))))
    for kind in _ORACLE:
        trials.cusum_quiet[kind].append(float(_cusum(y, m, _kept(world, kind)).max()))
    if not changes:
        return
    trials.before.append(float(len(y)))
    for kind in changes:
        after = play(world, _WATCHED[kind], rng, change=kind, first=BEFORE)
        if not alarms:
            _changed(copy.deepcopy(monitor), world, after, kind, trials.found[kind])
        if kind in _ORACLE:
            later, expected = _of_relied(world, after, model)
            trials.window[kind].append(_window(np.r_[y - m, later - expected], len(y)))
            trials.cusum[kind].append(_cusum(later, expected, _kept(world, kind)).tolist())
            kept = _kept(world, kind)
            trials.information[kind].append(float(_divergence(expected, kept).mean()))


def _changed(
    monitor: Monitor, world: MonitoredWorld, after: Played, kind: Change, found: Found
) -> None:
    alarms, at = _feed(monitor, world, after, _CLOSE.get(kind, 20), stop=True)
    mine = after.told & (after.action == world.relied)
    if kind == "one_task":
        mine &= np.array(world.task)[after.query] == world.bad_task
    elif kind == "one_kind":
        mine &= np.array(world.kind)[after.query] == world.bad_kind
    first = alarms[0] if alarms else None
    found.labels.append(float(mine[:at].sum()) if first else np.inf)
    found.requests.append(float(at) if first else np.inf)
    if first is not None:
        signal = {"slower": "latency_ms", "repriced": "price"}.get(kind, "quality")
        found.right.append((first.candidate, first.signal) == (world.names[world.relied], signal))
        moment = np.datetime64(first.since_low), np.datetime64(first.since_high)
        start = after.time(np.array([0]))[0]
        # The first outcome after the change comes some requests later.
        following = after.time(np.flatnonzero(mine)[:1])[0]
        found.held.append(bool(moment[0] <= following and start <= moment[1]))


def _feed(
    monitor: Monitor, world: MonitoredWorld, played: Played, batch: int, *, stop: bool = False
) -> tuple[list[Alarm], int]:
    """Alarms, and the requests after which the last came."""
    found: list[Alarm] = []
    n = len(played.query)
    for begin in range(0, n, batch):
        rows = np.arange(begin, min(n, begin + batch))
        for some in observations(world, played, rows):
            found += monitor.update(some)
        if stop and found:
            return found, int(rows[-1]) + 1
    return found, n


def _oracle(world: MonitoredWorld) -> FloatArray:
    """Predictions of the relied candidate, recalibrated on the truth of what it is sent."""
    k = world.relied
    predicted, truth = world.predictions.quality[:, k].astype(float), world.truth.quality[:, k]
    # As often as it is sent each prompt, as if in 20,000 requests.
    times = np.round(20_000 * world.probs[:, k] / world.probs[:, k].sum()).astype(int)
    model = BinaryModel(std=10.0)
    (a, b), _ = model.baseline(np.repeat(predicted, times), np.repeat(truth, times))
    value: FloatArray = expit(a + b * logit(np.clip(predicted, 0.02, 0.98)))
    return value


def _kept(world: MonitoredWorld, kind: str) -> float:
    """Share of right answers that the relied candidate keeps."""
    served = world.probs[:, world.relied] / world.probs[:, world.relied].sum()
    usual = float(served @ world.truth.quality[:, world.relied])
    return COLLAPSED if kind == "collapse" else 1.0 - 0.05 / usual


def _of_relied(
    world: MonitoredWorld, played: Played, model: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Labelled outcomes of the relied candidate, and their true expectations before any change."""
    mine = played.told & (played.action == world.relied)
    return played.quality[mine], model[played.query[mine]]


def _cusum(y: FloatArray, m: FloatArray, kept: float) -> FloatArray:
    """Page's statistic with both hypotheses known, after each outcome."""
    other = kept * m
    steps = np.where(y > 0.5, np.log(other / m), np.log((1.0 - other) / (1.0 - m)))
    total = np.cumsum(steps)
    value: FloatArray = total - np.minimum.accumulate(np.minimum(np.r_[0.0, total[:-1]], 0.0))
    return value


def _divergence(m: FloatArray, kept: float) -> FloatArray:
    """Kullback–Leibler divergence of the changed from the usual outcome, nats."""
    p = kept * m
    value: FloatArray = p * np.log(p / m) + (1.0 - p) * np.log((1.0 - p) / (1.0 - m))
    return value


def _window(residual: FloatArray, first: int = 0) -> float:
    """Outcomes after ``first`` until the latest 200 differ from all before; infinite if never."""
    for n in range(max(3 * _WINDOW, first + 1), len(residual) + 1, _LOOKS):
        recent, past = residual[n - _WINDOW : n], residual[: n - _WINDOW]
        error = past.std() * np.sqrt(1.0 / len(recent) + 1.0 / len(past))
        if abs(recent.mean() - past.mean()) > _Z * error:
            return float(n - first)
    return float(np.inf)


def summarise(trials: Trials) -> dict[str, dict[str, dict[str, float]]]:
    """Shares of runs, and medians of delays with order-statistic intervals."""
    ours = {"quiet_alarms": share_of_trials(np.array(trials.quiet)).as_dict()}
    if trials.before:
        ours["labels_before"] = median_of_trials(trials.before).as_dict()
    for kind, found in trials.found.items():
        if not found.labels:
            continue
        ours[f"{kind}_labels"] = median_of_trials(found.labels).as_dict()
        ours[f"{kind}_requests"] = median_of_trials(found.requests).as_dict()
        ours[f"{kind}_found"] = share_of_trials(np.isfinite(found.labels)).as_dict()
        if found.right:
            ours[f"{kind}_named"] = share_of_trials(np.array(found.right)).as_dict()
            ours[f"{kind}_moment_held"] = share_of_trials(np.array(found.held)).as_dict()
    window = {"quiet_alarms": share_of_trials(np.array(trials.window_quiet)).as_dict()}
    cusum, known = {}, {}
    for kind in _ORACLE:
        if not trials.cusum[kind]:
            continue
        window[f"{kind}_labels"] = median_of_trials(trials.window[kind]).as_dict()
        level = float(np.quantile(trials.cusum_quiet[kind], 0.95))
        delays = [_first(path, level) for path in trials.cusum[kind]]
        cusum[f"{kind}_labels"] = median_of_trials(delays).as_dict()
        need = [float(np.log(20.0) / nats) for nats in trials.information[kind]]
        known[f"{kind}_labels"] = median_of_trials(need).as_dict()
    return {"monitor": ours, "window_test": window, "oracle_cusum": cusum, "known_moment": known}


def _first(path: Sequence[float], level: float) -> float:
    over = np.flatnonzero(np.array(path) > level)
    return float(over[0] + 1) if len(over) else float(np.inf)


def median_of_trials(values: Sequence[float]) -> Estimate:
    """Median with its 95 % interval by order statistics; infinite ones count as the largest.

    Examples
    --------
    >>> median_of_trials([1.0, 2.0, float("inf")]).value
    2.0
    """
    from scipy.stats import binom

    ordered, n = np.sort(np.asarray(values, dtype=float)), len(values)
    low = max(0, int(binom.ppf(0.025, n, 0.5)) - 1)
    value = float(ordered[(n - 1) // 2])
    return Estimate(value, float(ordered[low]), float(ordered[n - 1 - low]), n)
