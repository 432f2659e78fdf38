"""Several processes write one log: no row is lost, doubled or mixed with another's."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from unittest import mock

from router_ml.decision_log.verify import log_files, verify
from serving.log.decision_log import DecisionLog
from serving.log.file import LogFile
from serving.log.ids import DecisionIds
from tests.decision_rows import feedback_row

WRITERS, ROWS = 4, 400


def write(folder: str, writer: int) -> None:
    """A service in a container of its own: its process id is 1, as every other's."""
    ids = DecisionIds()
    with mock.patch.object(os, "getpid", return_value=1):
        log = DecisionLog(folder=Path(folder), rotate_bytes=20_000, flush_s=0.01)
        for number in range(ROWS):
            log.append(feedback_row(ids.next(), name=f"writer-{writer}", source=str(number)))
        log.close()


def test_containers_with_the_same_process_id_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(str(tmp_path), i)) for i in range(WRITERS)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    assert [process.exitcode for process in writers] == [0] * WRITERS
    rows = [
        json.loads(line)
        for path in sorted(tmp_path.iterdir())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len({row["decision_id"] for row in rows}) == len(rows) == WRITERS * ROWS
    for writer in range(WRITERS):
        mine = {row["source"] for row in rows if row["name"] == f"writer-{writer}"}
        assert mine == {str(number) for number in range(ROWS)}
    found = verify(log_files([tmp_path]))
    assert (found.findings, found.torn, found.rows) == ([], 0, WRITERS * ROWS)
    assert len(found.heads) == WRITERS


def test_no_file_has_two_writers(tmp_path: Path) -> None:
    files = [LogFile(folder=tmp_path, rotate_bytes=1_000) for _ in range(3)]
    for number, file in enumerate(files):
        file.append([b"%d\n" % number])
        file.close()
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"0\n", b"1\n", b"2\n"]
