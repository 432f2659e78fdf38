from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.loop.due import FIRST, reasons
from pipelines.loop.state import LoopState
from tests.loop_world import loop_config

ALARM = {"alarm_id": "a", "text": "quality of large changed"}
TRAINED = LoopState(
    as_of="2026-03-08T12:00:00", retrained_at="2026-03-08T10:00:00", retrained_labels=1_000
)


@pytest.mark.parametrize(
    ("changes", "state", "champion", "wanted"),
    [
        ({}, LoopState(labels=0), None, (FIRST,)),
        ({}, replace(TRAINED, labels=1_199), "1", ()),
        ({}, replace(TRAINED, labels=1_200), "1", ("200 new labels",)),
        ({}, replace(TRAINED, labels=1_019, as_of="2026-04-08T12:00:00"), "1", ()),
        (
            {},
            replace(TRAINED, labels=1_020, as_of="2026-03-15T12:00:00"),
            "1",
            ("170 hours since the last",),
        ),
        ({}, replace(TRAINED, labels=1_020, alarms=(ALARM,)), "1", (f"alarm: {ALARM['text']}",)),
        ({}, replace(TRAINED, labels=1_039, alarms=(ALARM,), tries={"a": 1}), "1", ()),
        (
            {},
            replace(TRAINED, labels=1_040, alarms=(ALARM,), tries={"a": 1}),
            "1",
            (f"alarm: {ALARM['text']}",),
        ),
        ({}, replace(TRAINED, labels=1_150, alarms=(ALARM,), answered=("a",)), "1", ()),
        (
            {"retrain_on_alarm": False},
            replace(TRAINED, labels=1_150, alarms=(ALARM,)),
            "1",
            (),
        ),
        ({"because": "a new price"}, TRAINED, "1", ("a new price",)),
    ],
)
def test_why_it_retrains(
    changes: dict[str, Any],
    state: LoopState,
    champion: str | None,
    wanted: tuple[str, ...],
    tmp_path: Path,
) -> None:
    assert reasons(loop_config(tmp_path, **changes), state, champion=champion) == wanted
