"""How long a challenger waits for an experiment whose labels take days."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipelines.config import PromoteConfig
from pipelines.loop import waiting
from pipelines.loop.state import LoopState, Outcome
from pipelines.loop.steps import Steps
from pipelines.loop.store import Store
from tests.late_log import NOW, write_late_log
from tests.loop_world import loop_config

SINCE = datetime(2026, 3, 1)


@pytest.mark.parametrize(
    ("label_hours", "hours", "outcome"),
    [(0.0, 71, "waiting"), (0.0, 73, "refused"), (96.0, 73, "waiting"), (96.0, 169, "refused")],
)
def test_hours_count_of_requests_that_can_be_judged(
    label_hours: float, hours: int, outcome: Outcome, tmp_path: Path
) -> None:
    (tmp_path / "decisions").mkdir()
    config = loop_config(tmp_path, needs_experiment=True)
    state = LoopState(
        version="2", champion="1", shadow_since=SINCE.isoformat(), label_hours=label_hours
    )
    now = SINCE + timedelta(hours=hours)
    found = waiting.look(config, state, PromoteConfig(joined=tmp_path / "joined"), now=now)
    assert found.outcome == outcome
    assert ("after 96.0 hours" in found.said) == (label_hours > 0)
    few = waiting.look(replace(config, shadow_requests=9), state, PromoteConfig(), now=now)
    assert few.outcome == ("waiting" if hours < 72 else "refused")  # which needs no label


def test_the_join_tells_the_loop_how_long_labels_take(tmp_path: Path) -> None:
    late = write_late_log(tmp_path / "log", bad_days=1.0)
    config = loop_config(
        tmp_path,
        decisions=(),
        requests=late.requests,
        labels=late.labels,
        prices=late.prices,
        join={"naive_times_are_utc": True},
    )
    store = Store.below(config.output, name=config.name)
    try:
        store.acquire()
        steps = Steps(config, store, drift=lambda *_: ())
        state = steps.collect(LoopState(cycle=1, as_of=NOW.isoformat()))
        store.save(state.as_dict(), steps.entries, cycle=1)
        joined = steps.join(state)
    finally:
        store.close()
    assert joined.label_hours == pytest.approx(96.0, abs=0.5)  # four days
