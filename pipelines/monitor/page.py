"""A monitor on one HTML page: alarms with their evidence, and every stream as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure

from pipelines.figures import BASELINE, INK, MUTED, ROUTER
from pipelines.monitor.watch import Watch
from pipelines.report.page import drawn, tile, write_page
from router_ml.monitoring.alarm import Alarm
from router_ml.monitoring.stream import Stream
from router_ml.types.arrays import FloatArray

FILE: Final = "monitor.html"
_SHOWN: Final = 20
_RECENT: Final = 200


def write_monitor_page(watch: Watch, alarms: Sequence[Alarm]) -> Path:
    """Write the page into the monitor's folder, the latest alarms first."""
    latest = sorted(alarms, key=lambda alarm: alarm.time, reverse=True)[:_SHOWN]
    highest = max((m.log_e for m in watch.monitors.values()), default=-np.inf)
    versions = ", ".join(m.version for m in watch.monitors.values()) or "none yet"
    facts = {
        "title": "Monitor",
        "subtitle": "What became of the service's decisions, beside what was predicted.",
        "contents": [("alarms", "Alarms"), ("streams", "What is watched")],
        "lead": latest[0].text if latest else "Nothing has changed so far.",
        "headline": [
            tile("alarms", f"{len(alarms):,}", "so far", "bad" if alarms else "good"),
            tile("decisions", f"{watch.reader.n_decisions:,}", f"router version {versions}"),
            tile("outcomes tested", f"{watch.reader.n_outcomes:,}", "of all signals"),
            tile(
                "evidence now",
                _evidence(highest),
                f"an alarm at e^{-np.log(watch.config.alpha):.1f}",
            ),
        ],
        "alpha": f"{watch.config.alpha:g}",
        "alarms": [
            {
                "heading": f"{a.time[:19]} · {a.signal} of {a.candidate or 'traffic'}",
                "text": a.text,
                "figure": drawn(course_figure(a)) if a.course else "",
                "others": ", ".join(f"{kind} {value}" for kind, value, _ in a.others if kind),
            }
            for a in latest
        ],
        "streams": _streams(watch),
    }
    return write_page(watch.folder / FILE, "monitor", facts)


def course_figure(alarm: Alarm) -> Figure:
    """What was observed beside what was expected, around a change."""
    figure = Figure(figsize=(8.0, 2.8))
    axes = figure.add_subplot()
    moments = _on_axis([point[0] for point in alarm.course])
    expected = [point[2] for point in alarm.course]
    observed = [point[1] for point in alarm.course]
    low, high, now = _on_axis([alarm.since_low, alarm.since_high, alarm.time])
    axes.axvspan(low, high, color=BASELINE, alpha=0.2, lw=0, label="change, 95 % interval")
    axes.axvline(now, color=MUTED, linestyle=":", label="alarm")
    axes.xaxis_date()
    axes.plot(moments, expected, color=MUTED, label="expected")
    axes.plot(moments, observed, "o-", color=ROUTER, markersize=3, label="observed")
    axes.set_ylabel(alarm.signal)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    axes.legend(frameon=False, fontsize=7, loc="lower left")
    who = alarm.candidate or "traffic"
    axes.set_title(f"{alarm.signal} of {who}", loc="left", fontsize=10, color=INK)
    return figure


def _on_axis(times: Sequence[str]) -> FloatArray:
    value: FloatArray = mdates.date2num(np.array(times, dtype="datetime64[us]"))  # type: ignore[no-untyped-call]  # matplotlib's
    return value


def _streams(watch: Watch) -> list[tuple[str, ...]]:
    """A row a stream of all requests: the latest outcomes beside what was predicted."""
    rows: list[tuple[str, ...]] = []
    for monitor in watch.monitors.values():
        for key, stream in sorted(monitor.streams.items()):
            if key.kind and key.candidate:
                continue
            name = key.candidate or f"{key.kind} {key.value}"
            observed, predicted = _recent(stream)
            rows.append(
                (monitor.version, key.signal, name, f"{stream.detector.n:,}", observed, predicted,
                 _evidence(stream.log_e))
            )  # fmt: skip
    return rows


def _recent(stream: Stream) -> tuple[str, str]:
    observed, predicted = (
        part[-_RECENT:] for part in (stream.detector.observed, stream.detector.predicted)
    )
    if not len(observed):
        return "–", "–"
    nothing = stream.kind not in ("share", "new") and bool((predicted == predicted[0]).all())
    told = "–" if nothing and predicted[0] in (0.5, 1.0) else f"{predicted.mean():.4g}"
    return f"{observed.mean():.4g}", told


def _evidence(log_e: float) -> str:
    return "none" if log_e < -50.0 else f"e^{log_e:.1f}"


def alarm_facts(alarm: Alarm) -> dict[str, Any]:
    """Numbers of an alarm, for a tracking run."""
    names = ("before", "after", "expected", "n_before", "n_after", "log_e", "threshold")
    return {name: float(getattr(alarm, name)) for name in names}
