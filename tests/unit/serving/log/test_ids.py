from __future__ import annotations

import time
import uuid

import pytest

from serving.log.ids import DecisionIds


def test_ids_are_uuids_of_version_7_that_rise() -> None:
    ids = DecisionIds()
    before = time.time_ns() // 1_000_000
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    parsed = [uuid.UUID(text) for text in made]
    assert all(u.version == 7 and u.variant == uuid.RFC_4122 for u in parsed)
    assert before <= parsed[0].int >> 80 <= before + 1_000


def test_processes_do_not_collide() -> None:
    one, other = DecisionIds(), DecisionIds()
    assert {one.next()[19:] for _ in range(100)}.isdisjoint({other.next()[19:] for _ in range(100)})


def test_ids_rise_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = DecisionIds()
    clock = [time.time_ns()]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])
    made = [ids.next()]
    for _ in range(5):
        clock[0] -= 3_600_000_000_000
        made.append(ids.next())
    assert made == sorted(set(made))
