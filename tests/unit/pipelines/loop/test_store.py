from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipelines.loop.store import Store
from router_ml.errors import LeaseError


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store(folder: Path, clock: Clock) -> Store:
    return Store(f"sqlite:///{folder / 'loop.db'}", name="router", ttl_s=60.0, clock=clock)


def test_a_held_lease_is_refused_with_who_holds_it_and_for_how_long(
    tmp_path: Path, clock: Clock
) -> None:
    first, second = store(tmp_path, clock), store(tmp_path, clock)
    assert first.acquire() == 1
    clock.now += 20.0
    with pytest.raises(LeaseError, match=rf"held by {first.owner}, for another 40 s at most"):
        second.acquire()
    first.release()
    assert second.acquire() == 2


def test_a_heartbeat_keeps_it_and_silence_loses_it(tmp_path: Path, clock: Clock) -> None:
    first, second = store(tmp_path, clock), store(tmp_path, clock)
    first.acquire()
    clock.now += 50.0
    first.renew()
    clock.now += 50.0
    with pytest.raises(LeaseError):
        second.acquire()
    clock.now += 11.0
    assert second.acquire() == 2
    with pytest.raises(LeaseError, match="was lost: no heartbeat for 60 s"):
        first.renew()


def test_whoever_was_paused_cannot_overwrite_what_its_successor_wrote(
    tmp_path: Path, clock: Clock
) -> None:
    first, second = store(tmp_path, clock), store(tmp_path, clock)
    first.acquire()
    first.save({"step": "train"})
    clock.now += 61.0
    second.acquire()
    second.save({"step": "gate"}, [("a", {"digest": "1"})], cycle=3)
    with pytest.raises(LeaseError, match="its state is not written"):
        first.save({"step": "export"}, [("a", {})])
    first.release()  # not its own any more: nothing happens
    assert second.load() == {"step": "gate"}
    assert second.partitions() == {"a": {"digest": "1", "cycle": 3}}
    second.renew()


def test_leases_of_two_models_do_not_know_each_other(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'loop.db'}"
    chat, code = (Store(url, name=name, clock=clock) for name in ("chat", "code"))
    assert (chat.acquire(), code.acquire()) == (1, 1)
    chat.save({"cycle": 1})
    assert code.load() == {}


def test_of_many_at_once_one_wins(tmp_path: Path, clock: Clock) -> None:
    won: list[str] = []
    barrier = threading.Barrier(6)

    def race() -> None:
        mine = store(tmp_path, clock)
        barrier.wait()
        try:
            mine.acquire()
            won.append(mine.owner)
        except LeaseError:
            pass
        mine.close()

    store(tmp_path, clock).close()
    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
