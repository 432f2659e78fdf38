"""A loop's state as Prometheus metrics, in a file for a node exporter's textfile collector."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from pipelines.loop.state import LoopState, Outcome, Step


def write_metrics(path: Path, name: str, state: LoopState) -> None:
    """Replace a file with the metrics of a loop.

    Parameters
    ----------
    name : of the registered model, a label of every metric
    """
    registry = CollectorRegistry()

    def gauge(metric: str, text: str, value: float, **labels: str) -> None:
        key = f"router_loop_{metric}"
        found = gauges.get(key)
        if found is None:
            found = gauges[key] = Gauge(key, text, ["name", *labels], registry=registry)
        found.labels(name, *labels.values()).set(value)

    gauges: dict[str, Gauge] = {}
    gauge("cycle", "Number of the present or last cycle.", state.cycle)
    gauge("updated_timestamp_seconds", "When the state was written.", _seconds(state.updated))
    gauge("retrained_timestamp_seconds", "Log that the last retraining rests on, until when.",
          _seconds(state.retrained_at))  # fmt: skip
    gauge("labels", "Labelled outcomes in the last join.", state.labels)
    gauge("new_labels", "Of them, since the last retraining.",
          state.labels - state.retrained_labels)  # fmt: skip
    gauge("alarms", "Alarms of the monitor.", len(state.alarms))
    gauge("shadow", "1 while a challenger waits in the shadow.", bool(state.shadow_since))
    for step in get_args(Step):
        gauge("step", "1 for the step that is next.", step == state.step, step=step)
    for outcome in get_args(Outcome):
        count = state.outcomes.get(outcome, 0)
        gauge("outcomes", "Cycles that ended so.", count, outcome=outcome)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() if time else 0.0
