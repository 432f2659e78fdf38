"""Progress where bars cannot be redrawn: a line in ten seconds."""

from __future__ import annotations

import pytest

from pipelines import console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("pipelines.console.time.monotonic", lambda: now[0])
    return now


def test_a_log_file_gets_a_line_in_ten_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.progress("scoring", 30) as advance:
        for _ in range(30):
            clock[0] += 1.0
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "scoring: 10 of 30, 10 s",
        "scoring: 20 of 30, 20 s",
        "scoring: 30 of 30, 30 s",
        "scoring: done, 30 s",
    ]


def test_what_is_quick_is_not_mentioned(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.progress("features", None) as advance:
        advance(5)
    with console.shares() as report:
        report("join", 0.5)
        clock[0] += 11.0
        report("join", 0.75)
    assert capsys.readouterr().err.splitlines() == ["join: 75 of 100, 11 s"]
