from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from router_ml.errors import ConfigError
from serving.control import budgets as module
from serving.control.budget_file import Budget, read_budgets, window_of
from serving.control.budgets import OTHER, Budgets, pressure
from serving.http.errors import HttpError


class Clock(datetime):
    """A clock that is set."""

    at = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(module, "datetime", Clock)
    Clock.at = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    return Clock


@pytest.mark.parametrize("window", ["hour", "day", "month"])
def test_a_new_window_begins_at_nothing(clock: type[Clock], window: Any) -> None:
    budgets = Budgets([Budget(name="b", usd=1.0, window=window, beyond="refuse")])
    bookings = budgets.book(None, None, None, 1.0)
    with pytest.raises(HttpError) as refused:
        budgets.allowance(None, None, None)
    assert refused.value.headers["retry-after"] == "60"
    clock.at += timedelta(minutes=2)
    assert budgets.allowance(None, None, None).left_usd == 1.0
    budgets.correct(bookings, 5.0)  # of the window that is over
    assert budgets.allowance(None, None, None).left_usd == 1.0


def test_a_clock_that_goes_back_opens_nothing_anew(clock: type[Clock]) -> None:
    budgets = Budgets([Budget(name="b", usd=1.0, window="hour", beyond="refuse")])
    budgets.book(None, None, None, 1.0)
    clock.at -= timedelta(days=3)
    with pytest.raises(HttpError):
        budgets.allowance(None, None, None)


def test_made_up_tags_fill_no_memory_and_evade_no_cap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_ACCOUNTS", 10)
    budgets = Budgets([Budget(name="b", usd=1.0, window="day", per="tag", beyond="refuse")])
    for n in range(30):
        budgets.book(None, None, [f"tag {n}"], 0.1)
    assert len(budgets.accounts) == 11
    assert budgets.accounts["b", OTHER].spent == pytest.approx(2.0)
    with pytest.raises(HttpError):
        budgets.allowance(None, None, ["tag 99"])


def test_the_strictest_budget_holds() -> None:
    budgets = Budgets(
        [
            Budget(name="all", usd=10.0, window="month", beyond="refuse"),
            Budget(name="acme", usd=1.0, window="day", per="tenant", only="acme"),
        ]
    )
    budgets.book("acme", "web", None, 0.9)
    assert budgets.allowance("other", "web", None).left_usd == pytest.approx(9.1)
    assert budgets.allowance("acme", "web", None).left_usd == pytest.approx(9.1)
    budgets.book("acme", "web", None, 0.2)
    assert budgets.allowance("acme", "web", None).spent_budget == "acme"
    assert budgets.allowance("other", "web", None).spent_budget == ""


def test_pressure_rises_without_a_step() -> None:
    values = [pressure(n / 1_000, 0.5) for n in range(1_001)]
    assert values == sorted(values)
    assert values[500] == 0.0
    assert values[501] < 0.01
    assert values[1_000] > 1e6


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"budgets": [{"name": "a", "usd": 0, "window": "day"}]}',
        '{"budgets": [{"name": "a", "usd": 1, "window": "week"}]}',
        '{"budgets": [{"name": "a", "usd": 1, "window": "day", "per": "user"}]}',
        '{"budgets": [{"name": "a", "usd": 1, "window": "day", "only": "x"}]}',
        '{"budgets": [{"name": "a", "usd": 1, "window": "day", "typo": 1}]}',
        '{"budgets": [{"name": "a", "usd": 1, "window": "day"},'
        ' {"name": "a", "usd": 2, "window": "day"}]}',
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "budgets.json").write_text(text)
    with pytest.raises(ConfigError):
        read_budgets(tmp_path / "budgets.json")


def test_windows_follow_each_other() -> None:
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    for window, length in (("hour", 3_600), ("day", 86_400), ("month", 29 * 86_400)):
        begin, end = window_of(window, moment)  # type: ignore[arg-type]
        assert (end - begin).total_seconds() == length
        assert window_of(window, end)[0] == end  # type: ignore[arg-type]
