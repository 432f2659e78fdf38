"""What a loop has done and what comes next, for people."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from pipelines.console import console, print_table
from pipelines.loop.config import LoopConfig
from pipelines.loop.due import open_alarms
from pipelines.loop.partitions import Taken
from pipelines.loop.state import LoopState
from pipelines.loop.store import Lease, Store
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import champion_history, registry_client
from router_ml.errors import RegistryError

_LATEST: Final = 5


def show(config: LoopConfig) -> None:
    """Print it; the loop may run meanwhile."""
    store = Store.below(config.output, url=config.store, name=config.name, ttl_s=config.lease_s)
    try:
        state, lease = LoopState.read(store.load()), store.lease()
        taken = Taken.of(store.partitions())
    finally:
        store.close()
    parts = [p for p in taken.every.values() if not p.duplicate_of]
    rows = [
        ("cycle", f"{state.cycle}, {'between cycles' if state.step == 'idle' else state.step}"),
        ("written", _ago(state.updated)),
        ("last outcome", f"{state.outcome or 'none yet'}{': ' if state.said else ''}{state.said}"),
        ("lease", _held(lease)),
        ("champions", _champions(config.name)),
        ("watched", _watched(state)),
        ("in the shadow", _in_the_shadow(state)),
        ("last retraining", _ago(state.retrained_at)),
        ("new labels", f"{state.labels - state.retrained_labels:,} of {config.retrain_labels:,}"),
        ("log taken", f"{len(parts):,} partitions, {sum(p.decisions for p in parts):,} decisions, "
                      f"{sum(p.labels for p in parts):,} feedbacks"),
        *(("alarm", str(alarm["text"])) for alarm in open_alarms(state)[:_LATEST]),
        *((f"cycles {outcome}", f"{n:,}") for outcome, n in sorted(state.outcomes.items())),
    ]  # fmt: skip
    print_table(f"loop of {config.name}", ("", ""), [(a, b.replace("\n", " ")) for a, b in rows])
    console.print(f"store: {config.store or config.output / 'loop.db'}", highlight=False)


def _held(lease: Lease | None) -> str:
    if lease is None:
        return "never held"
    left = lease.expires - time.time()
    return f"held by {lease.owner}, token {lease.token}, {left:.0f} s left" if left > 0 else "free"


def _champions(name: str) -> str:
    try:
        with registry_errors("look up champions"):
            client = registry_client()
            if not client.search_registered_models(f"name = '{name}'"):
                return "none yet"
            return " -> ".join(champion_history(client, name)[-_LATEST:]) or "none yet"
    except RegistryError as error:
        return f"unknown: {error}"


def _watched(state: LoopState) -> str:
    if not state.watched:
        return "nobody"
    return f"version {state.watched} beside {state.predecessor}, {_ago(state.since)}"


def _in_the_shadow(state: LoopState) -> str:
    if not state.shadow_since:
        return "nobody"
    return f"version {state.version}, {_ago(state.shadow_since)}"


def _ago(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC" if moment else "never"
