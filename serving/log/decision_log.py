"""The decision log: one JSON line a decision, cascade step or feedback, off the request path.

A request only appends a row to a bounded queue. A thread encodes what waits every ``flush_s``
seconds, in small chunks so that the event loop is never held up, appends each chunk with one
``write``, and syncs by the policy:

======== ============================================================== =====================
fsync    what happens                                                    lost when power fails
======== ============================================================== =====================
never    the system writes back when it likes                            about 30 s
interval fsync at most once a second (the default)                       about 1 s
always   fsync after every chunk                                         ``flush_s``
======== ============================================================== =====================

When the process is killed, at most ``flush_s`` of decisions are lost whatever the policy; an
orderly stop writes everything. Feedback is acknowledged once its line is in the file. Where a write
fails, decisions wait in the queue for the next try, and feedback is told that it was not written. A
full queue drops decisions, which are counted, and refuses feedback. Files are named by time,
process and number, so that no two workers share one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from router_ml.decision_log.lines import START, seal, text_part, text_sha256
from serving.heartbeat import Heartbeat
from serving.log.file import LogFile, PartlyWrittenError
from serving.log.rows import Row
from serving.reasons import full_reason

_LOG: Final = logging.getLogger(__name__)
_CHUNK_ROWS: Final = 32
_SYNC_S: Final = 1.0
_ROW_BYTES: Final = 1_000
"""What a row takes beside what it was made from."""
_STOPPED_S: Final = 15.0
_RETRY_S: Final = 0.2

Told = Callable[[bool], None]
"""Called in the log's thread: whether the row is written."""


class _Waiting(NamedTuple):
    row: Row
    text: dict[str, Any]
    size: int
    told: Told | None


class DecisionLog:
    """Appends rows to files of one folder.

    Parameters
    ----------
    folder : created when missing
    fsync : ``never``, ``interval`` or ``always``; see the module
    flush_s : seconds that a row may wait in memory
    rotate_bytes : a file is closed once it is this long
    queue_rows, queue_bytes : rows that may wait, and their length together

    Attributes
    ----------
    written, dropped, failed : rows in the file, not taken by a full queue, and given up
    heartbeat : of the writing thread

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """

    def __init__(
        self,
        *,
        folder: Path,
        fsync: Literal["never", "interval", "always"] = "interval",
        flush_s: float = 0.2,
        rotate_bytes: int = 128_000_000,
        queue_rows: int = 50_000,
        queue_bytes: int = 64_000_000,
    ) -> None:
        self.fsync = fsync
        self.flush_s = flush_s
        self.queue_rows = queue_rows
        self.queue_bytes = queue_bytes
        self.written = self.dropped = self.failed = 0
        self.heartbeat = Heartbeat("decision log", _STOPPED_S + flush_s)
        self._queue: deque[_Waiting] = deque()
        self._taken = self._released = 0  # bytes; each is written by one thread alone
        self._encode = msgspec.json.Encoder().encode
        self._head = START
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._reopen = False
        self._synced = time.monotonic()
        self._file = LogFile(folder=folder, rotate_bytes=rotate_bytes, syncs=fsync != "never")
        self._thread = threading.Thread(target=self._work, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        """Rows that are not written yet."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Their length together."""
        return self._taken - self._released

    def append(
        self,
        row: Row,
        text: dict[str, Any] | None = None,
        *,
        size: int = 0,
        told: Told | None = None,
    ) -> bool:
        """Queue a row; False, and counted as dropped, when the queue is full.

        Parameters
        ----------
        text : what people wrote, by name; it can be erased from the file
        size : length of what row and text hold of a body
        told : is called once, and the row written at once; a row without waits for the next flush
            and is tried again where a write fails
        """
        size += _ROW_BYTES
        if len(self._queue) >= self.queue_rows or self.waiting_bytes + size > self.queue_bytes:
            self.dropped += 1
            return False
        self._taken += size
        self._queue.append(_Waiting(row, text or {}, size, told))
        if told is not None:
            self._wake.set()
        return True

    def reopen(self) -> None:
        """Write what waits, and go on in a new file."""
        self._reopen = True
        self._wake.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """Write and sync what waits; the log takes nothing afterwards.

        Parameters
        ----------
        timeout_s : a disk that hangs is given up after it
        """
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _LOG.error("%d rows of the decision log are lost: the disk hangs", len(self._queue))
            return
        self._file.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self.flush_s)
            self._wake.clear()
            self._round()
            if self.heartbeat.reason is not None:
                self._stop.wait(_RETRY_S)
        self._round()
        self._give_up()
        try:
            self._file.sync()
        except OSError as error:
            _LOG.error("the decision log cannot be synced: %s", full_reason(error))

    def _round(self) -> None:
        try:
            self._drain()
        except Exception as error:
            # Neither a full disk nor a disk error may end the thread; it tries again.
            if self.heartbeat.reason is None:
                _LOG.error("the decision log cannot be written: %s", full_reason(error))
            self.heartbeat.fail("it cannot be written")
        else:
            self.heartbeat.beat()

    def _drain(self) -> None:
        while self._queue:
            self._write_some()
        if self._reopen:
            self._file.reopen()
            self._reopen = False
        if self.fsync == "interval" and time.monotonic() - self._synced >= _SYNC_S:
            self._synced = time.monotonic()
            self._file.sync()

    def _write_some(self) -> None:
        some, lines, heads = self._take()
        try:
            self._file.append(lines)
            self._head = heads[-1]
            if self.fsync == "always":
                self._file.sync()
        except PartlyWrittenError as error:
            self._head = heads[error.complete]
            self._settle(some[: error.complete], True)
            rest = some[error.complete :]
            self._queue.extendleft(reversed([item for item in rest if item.told is None]))
            self._settle([item for item in rest if item.told is not None], False)
            raise
        except OSError:  # in the file, but not on the disk
            self._settle(some, False)
            raise
        self._settle(some, True)

    def _take(self) -> tuple[list[_Waiting], list[bytes], list[str]]:
        """Some that wait, their lines, and the chain's head before the first and after each.

        One that cannot be encoded is given up.
        """
        some: list[_Waiting] = []
        lines: list[bytes] = []
        heads = [self._head]
        for _ in range(min(_CHUNK_ROWS, len(self._queue))):
            item = self._queue.popleft()
            try:
                line, head = self._line(item, heads[-1])
            except Exception as error:
                _LOG.error("a row of the decision log is lost: %s", type(error).__name__)
                self._settle([item], False)
            else:
                some.append(item)
                lines.append(line)
                heads.append(head)
        return some, lines, heads

    def _line(self, item: _Waiting, head: str) -> tuple[bytes, str]:
        row, part = item.row, text_part(self._encode(item.text)) if item.text else b""
        row.previous, row.text_sha256 = head, text_sha256(part)
        return seal(self._encode(row), part)

    def _settle(self, items: list[_Waiting], written: bool) -> None:
        self._released += sum(item.size for item in items)
        if written:
            self.written += len(items)
        else:
            self.failed += len(items)
        for item in items:
            if item.told is not None:
                item.told(written)

    def _give_up(self) -> None:
        if self._queue:
            _LOG.error("%d rows of the decision log are lost", len(self._queue))
            self._settle(list(self._queue), False)
            self._queue.clear()
