"""Whole lines in order, through rotation, full disks, disk errors and deleted files."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router_ml.decision_log.verify import log_files, verify
from serving.log.decision_log import DecisionLog
from serving.log.rows import FeedbackRow
from tests.decision_rows import feedback_row

NO_SPACE = OSError(errno.ENOSPC, "no space left on device")


def row(number: int) -> FeedbackRow:
    return feedback_row(str(number))


def numbers(folder: Path, *, starts_later: bool = False) -> list[int]:
    assert not verify(log_files([folder]), starts_later=starts_later).findings
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
    return [int(json.loads(line)["decision_id"]) for line in lines]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Told:
    """What the log said of rows, and that it said it."""

    def __init__(self) -> None:
        self.outcomes: list[bool] = []
        self.event = threading.Event()

    def __call__(self, written: bool) -> None:
        self.outcomes.append(written)
        self.event.set()


@pytest.mark.parametrize("fsync", ["never", "interval", "always"])
def test_rows_come_out_in_order_and_files_rotate(
    tmp_path: Path, fsync: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = DecisionLog(folder=tmp_path, fsync=fsync, flush_s=0.01, rotate_bytes=3_000)  # type: ignore[arg-type]
    for number in range(500):
        assert log.append(row(number))
    log.close()
    assert numbers(tmp_path) == list(range(500))
    assert log.written == 500
    assert len(list(tmp_path.iterdir())) > 3
    assert all(str(os.getpid()) in path.name for path in tmp_path.iterdir())
    assert bool(synced) == (fsync != "never")


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=30, queue_rows=3)
    assert [log.append(row(number)) for number in range(5)] == [True] * 3 + [False] * 2
    log.close()
    assert (log.written, log.dropped, log.failed) == (3, 2, 0)
    assert numbers(tmp_path) == [0, 1, 2]


def test_the_queue_is_bounded_by_the_length_of_what_waits(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=30, queue_bytes=2_000_000)
    taken = [
        log.append(row(number), {"answer": "x" * 900_000}, size=900_000) for number in range(5)
    ]
    assert taken == [True] * 2 + [False] * 3
    assert 1_800_000 < log.waiting_bytes <= 2_000_000
    log.close()
    assert (log.written, log.waiting_bytes) == (2, 0)


@pytest.mark.parametrize("can_truncate", [True, False])
def test_a_full_disk_loses_nothing_once_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_truncate: bool
) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=0.01)
    real, full = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if full[0]:
            if len(data) > 1000:
                return real(file, data[: len(data) // 2])
            raise NO_SPACE
        return real(file, data)

    def refuse(file: int, size: int) -> None:
        raise NO_SPACE

    monkeypatch.setattr(os, "write", write)
    if not can_truncate:
        monkeypatch.setattr(os, "ftruncate", refuse)
    told = Told()
    for number in range(40):
        log.append(row(number))
    log.append(row(40), told=told)
    assert told.event.wait(10)
    assert told.outcomes == [False]
    assert str(log.heartbeat.problem) == "decision log: it cannot be written"
    full[0] = False
    until(lambda: log.written == 40)
    log.close()
    assert log.heartbeat.problem is None
    if can_truncate:
        assert numbers(tmp_path) == list(range(40))
    else:  # the half line stays at the end of the file that was given up
        lines = [p.read_text().splitlines(keepends=True) for p in sorted(tmp_path.iterdir())]
        whole = [line for some in lines for line in some if line.endswith("\n")]
        assert [int(json.loads(line)["decision_id"]) for line in whole] == list(range(40))


def test_a_failing_fsync_ends_neither_the_thread_nor_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [True]

    def fsync(file: int) -> None:
        if broken[0]:
            raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    log = DecisionLog(folder=tmp_path, fsync="always", flush_s=0.01)
    first, second = Told(), Told()
    log.append(row(0), told=first)
    assert first.event.wait(10)
    assert first.outcomes == [False]  # not on the disk, so not acknowledged
    broken[0] = False
    log.append(row(1), told=second)
    assert second.event.wait(10)
    assert second.outcomes == [True]
    log.close()
    assert numbers(tmp_path) == [0, 1]


def test_a_deleted_or_moved_file_is_replaced(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path / "log", flush_s=0.01)
    for number in range(3):
        told = Told()
        log.append(row(number), told=told)
        assert told.event.wait(10)
        (path,) = (tmp_path / "log").iterdir()
        if number == 0:
            path.unlink()
        elif number == 1:
            path.rename(tmp_path / "moved.jsonl")
            time.sleep(1.1)  # moved files are looked for once a second
    log.close()
    assert numbers(tmp_path / "log", starts_later=True) == [2]
    assert json.loads((tmp_path / "moved.jsonl").read_text())["decision_id"] == "1"


def test_a_deleted_folder_is_made_again(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path / "log", flush_s=0.01)
    (path,) = (tmp_path / "log").iterdir()
    path.unlink()
    path.parent.rmdir()
    told = Told()
    log.append(row(7), told=told)
    assert told.event.wait(10)
    assert told.outcomes == [True]
    log.close()
    assert numbers(tmp_path / "log") == [7]


def test_reopening_goes_on_in_a_new_file(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=30)
    log.append(row(0))
    log.reopen()
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    log.append(row(1))
    log.close()
    assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.iterdir())] == [1, 1]


def test_a_row_that_cannot_be_written_as_json_is_lost_alone(tmp_path: Path) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=30)
    told = Told()
    log.append(row(0))
    log.append(row(1), {"answer": object()}, told=told)
    log.append(row(2))
    log.close()
    assert told.outcomes == [False]
    assert (log.written, log.failed) == (2, 1)
    assert numbers(tmp_path) == [0, 2]


def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real = os.write

    def write(file: int, data: bytes) -> int:
        go_on.wait(20)
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    log = DecisionLog(folder=tmp_path, flush_s=0.01)
    log.append(row(0))
    begun = time.monotonic()
    log.close(timeout_s=0.2)
    assert time.monotonic() - begun < 5
    go_on.set()
    until(lambda: log.written == 1)
