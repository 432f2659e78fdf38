"""When it is time to retrain, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.loop.config import LoopConfig
from pipelines.loop.state import LoopState

FIRST = "the first router"


def alarm_key(alarm: Mapping[str, Any]) -> str:
    """What an alarm is known by."""
    return str(alarm["alarm_id"])


def reasons(config: LoopConfig, state: LoopState, *, champion: str | None) -> tuple[str, ...]:
    """Why to retrain now; empty where nothing is due.

    Parameters
    ----------
    state : with the labels and alarms of the cycle
    champion : version in service; ``None`` = there is none yet
    """
    if config.because:
        return (config.because,)
    if champion is None and not state.retrained_at:
        return (FIRST,)
    new = state.labels - state.retrained_labels
    if new < config.min_labels:
        return ()
    found = []
    if new >= config.retrain_labels:
        found.append(f"{new:,} new labels")
    if state.retrained_at:
        age = datetime.fromisoformat(state.as_of) - datetime.fromisoformat(state.retrained_at)
        hours = age.total_seconds() / 3600.0
        if hours >= config.retrain_hours:
            found.append(f"{hours:.0f} hours since the last")
    if config.retrain_on_alarm:
        found += [
            f"alarm: {_said(alarm)}"
            for alarm in open_alarms(state)
            if new >= config.min_labels * 2 ** state.tries.get(alarm_key(alarm), 0)
        ]
    return tuple(found)


def open_alarms(state: LoopState) -> Sequence[Mapping[str, Any]]:
    """Alarms that no promotion has answered yet.

    Each refused challenger doubles the labels for which the next is worth trying.
    """
    return [alarm for alarm in state.alarms if alarm_key(alarm) not in state.answered]


def _said(alarm: Mapping[str, Any]) -> str:
    return str(alarm["text"])
