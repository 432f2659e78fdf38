"""How a cycle begins and ends, and what becomes of a challenger that waits in the shadow."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pipelines.loop.state import LoopState, Outcome

_WAITS: Final = ("waiting", "nothing new", "rolled back")
"""Ends of a cycle after which a challenger still waits in the shadow."""


def begun(state: LoopState, now: str) -> LoopState:
    """The next cycle; a challenger in the shadow is taken along."""
    state = replace(state, cycle=state.cycle + 1, step="collect", as_of=now, outcome="", said="")
    return state if state.shadow_since else replace(state, reasons=(), version="")


def failed(state: LoopState, said: str) -> LoopState:
    """The cycle is over; a challenger whose own step failed waits no longer."""
    own = state.step in ("gate", "shadow", "promote")
    since = "" if own else state.shadow_since
    return replace(state, step="idle", outcome="failed", said=said, shadow_since=since)


def watched(state: LoopState, champion: str | None) -> LoopState:
    """The champion stays: on to what is due, or to the challenger in the shadow.

    One that was judged against another champion is judged again; one that somebody has promoted
    waits no longer.
    """
    if state.shadow_since and champion == state.version:
        state = replace(state, shadow_since="", version="", reasons=())
    if not state.shadow_since:
        return replace(state, step="due")
    return replace(state, step="shadow" if champion == state.champion else "gate")


def ended(state: LoopState, outcome: Outcome, said: str) -> LoopState:
    """The cycle is over."""
    since = state.shadow_since if outcome in _WAITS else ""
    return replace(
        state, step="idle", outcome=outcome, said=said, done=state.digest, shadow_since=since
    )
