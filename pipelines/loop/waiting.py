"""A challenger beside the champion: promoted, refused, or to be looked at again next cycle."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pipelines.config import PromoteConfig
from pipelines.loop import experiment, shadow
from pipelines.loop.config import LoopConfig
from pipelines.loop.cycle import ended
from pipelines.loop.partitions import decision_files
from pipelines.loop.state import LoopState

_EARLIER: Final = timedelta(days=1)
"""How far the clocks of services may be behind the loop's, and a challenger served before."""


def look(
    config: LoopConfig, state: LoopState, question: PromoteConfig, *, now: datetime
) -> LoopState:
    """Where a challenger that waits since ``state.shadow_since`` goes from here.

    Parameters
    ----------
    question : the gate's, with the cycle's join
    now : naive UTC
    """
    log, since = decision_files(config.decisions), datetime.fromisoformat(state.shadow_since)
    waited = now - since
    is_late = waited >= timedelta(hours=config.shadow_hours)
    seen = shadow.look(log, state.version)
    text = f"version {state.version} decided {seen.requests:,} requests in the shadow"
    if seen.requests < config.shadow_requests:
        if is_late:
            return ended(state, "refused", f"{text} within {config.shadow_hours:g} hours: too few")
        return ended(state, "waiting", f"{text}, of {config.shadow_requests:,}")
    if seen.errors > config.max_shadow_errors * seen.requests:
        return ended(state, "refused", f"{text} and failed in {seen.errors:,}: {seen.error}")
    if not config.needs_experiment:
        return replace(state, step="promote", said=text)
    tried = experiment.look(
        log,
        question,
        version=state.version,
        champion=state.champion or "",
        since=since - _EARLIER,
        planned_units=config.experiment_units,
    )
    said = f"{text}; {tried.text}"
    if tried.verdict == "passed":
        return replace(state, step="promote", said=said)
    if tried.verdict == "refused":
        return ended(state, "refused", said)
    if state.label_hours:
        said += f"; requests count once their labels are there, after {state.label_hours:.1f} hours"
    if waited >= timedelta(hours=config.shadow_hours + state.label_hours):
        return ended(state, "refused", f"{said}: not known within {config.shadow_hours:g} hours")
    return ended(state, "waiting", said)
