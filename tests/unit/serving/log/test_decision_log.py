from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from serving.log.decision_log import DecisionLog, FeedbackRow


def row(number: int, answer: object = None) -> FeedbackRow:
    return FeedbackRow(
        decision_id=str(number),
        time="2026-01-01T00:00:00",
        name="quality",
        source="user",
        quality=1.0,
        candidate_served=None,
        input_tokens=None,
        output_tokens=None,
        cost_usd=None,
        latency_ms=None,
        status=None,
        answer=answer,  # type: ignore[arg-type]
    )


def numbers(folder: Path) -> list[int]:
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
    return [int(json.loads(line)["decision_id"]) for line in lines]


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


def test_a_failed_write_is_counted_and_later_rows_get_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DecisionLog(folder=tmp_path, flush_s=30)
    real = os.write
    torn = [True]

    def write(file: int, data: memoryview) -> int:
        if torn.pop() if torn else False:
            real(file, data[: len(data) // 2])
            raise OSError("no space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    for number in range(40):  # one chunk and a part of the next
        log.append(row(number))
    log.close()
    assert (log.written, log.failed) == (8, 32)
    last = sorted(tmp_path.iterdir())[-1]
    assert [json.loads(line)["decision_id"] for line in last.read_text().splitlines()] == [
        str(number) for number in range(32, 40)
    ]
