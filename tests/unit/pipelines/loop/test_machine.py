from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.loop.machine import holding
from pipelines.loop.store import Store
from router_ml.errors import LeaseError


def rivals(folder: Path) -> tuple[Store, Store]:
    """A loop whose lease is short, and one an hour ahead that takes it."""
    url = f"sqlite:///{folder / 'loop.db'}"
    return (
        Store(url, name="router", ttl_s=0.3),
        Store(url, name="router", clock=lambda: time.time() + 3_600.0),
    )


def hold_and_lose(
    mine: Store, other: Store, work: Callable[[], object] = lambda: time.sleep(30.0)
) -> None:
    with holding(mine):
        other.acquire()
        work()


def is_broken_off() -> pytest.RaisesExc[LeaseError]:
    return pytest.raises(LeaseError, match="was lost while a step was under way")


def test_a_lease_that_is_lost_breaks_off_what_is_under_way(tmp_path: Path) -> None:
    mine, other = rivals(tmp_path)
    with is_broken_off():
        hold_and_lose(mine, other)
    held = other.lease()
    assert held is not None
    assert (held.owner, held.token) == (other.owner, 2)


def test_an_interrupt_that_a_finaliser_swallows_comes_again(tmp_path: Path) -> None:
    def work() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(30.0)
        time.sleep(30.0)

    begin = time.monotonic()
    with is_broken_off():
        hold_and_lose(*rivals(tmp_path), work)
    assert time.monotonic() - begin < 30.0


def test_an_interrupt_as_the_work_ends_stops_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = threading.Event.set
    before = set(threading.enumerate())
    interrupts: list[threading.Event] = []

    def interrupted(event: threading.Event) -> None:
        if threading.current_thread() is threading.main_thread() and not interrupts:
            interrupts.append(event)
            time.sleep(30.0)
        kept(event)

    with is_broken_off():
        hold_and_lose(
            *rivals(tmp_path), lambda: monkeypatch.setattr(threading.Event, "set", interrupted)
        )
    assert interrupts
    assert set(threading.enumerate()) == before


def test_whoever_ignores_sigint_is_broken_off_all_the_same(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with is_broken_off():
            hold_and_lose(*rivals(tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_lease_is_given_back_after_an_error(tmp_path: Path) -> None:
    store = Store.below(tmp_path / "loop", name="router")
    with pytest.raises(ZeroDivisionError), holding(store):
        raise ZeroDivisionError
    assert store.acquire() == 2
