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

When the process is killed, at most ``flush_s`` of rows are lost whatever the policy; an orderly
stop writes everything. A full queue drops decisions, which are counted, and refuses feedback.
Files are named by time, process and number, so that no two workers share one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

_LOG: Final = logging.getLogger(__name__)
_CHUNK_ROWS: Final = 32
_SYNC_S: Final = 1.0


class DecisionRow(msgspec.Struct, tag="decision", tag_field="kind", gc=False):
    """One decision. ``action_probs`` is in the order of ``candidates``, all the router has."""

    decision_id: str
    time: str
    request_id: str | None
    session_id: str | None
    tags: Any
    arm: str
    router: str
    router_version: str
    bundle_id: str
    override_digest: str
    policy: str
    candidate: str
    propensity: float
    candidates: tuple[str, ...]
    action_probs: tuple[float, ...]
    ranking: tuple[Any, ...]
    query: str | None = None
    messages: Any = None
    tools: Any = None


class CascadeRow(msgspec.Struct, tag="cascade", tag_field="kind", gc=False):
    """One step of a cascade; what ``answers`` say is kept only where text is logged.

    ``action_probs``, in the order of ``candidates``, are the router's where it chose whom to ask,
    and null where the cascade decided.
    """

    decision_id: str
    time: str
    request_id: str | None
    session_id: str | None
    tags: Any
    arm: str
    router: str
    router_version: str
    bundle_id: str
    override_digest: str
    action: str
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: dict[str, float]
    answers: tuple[Any, ...]
    policy: str
    propensity: float
    candidates: tuple[str, ...]
    action_probs: tuple[float, ...] | None
    query: str | None = None
    messages: Any = None
    tools: Any = None


class FeedbackRow(msgspec.Struct, tag="feedback", tag_field="kind"):
    """One feedback; of several with the same ``(decision_id, name)`` the latest holds."""

    decision_id: str
    time: str
    name: str
    source: str
    quality: float | None
    candidate_served: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    latency_ms: float | None
    status: str | None
    answer: str | None


Row = DecisionRow | CascadeRow | FeedbackRow


class DecisionLog:
    """Appends rows to files of one folder.

    Parameters
    ----------
    folder : created when missing
    fsync : ``never``, ``interval`` or ``always``; see the module
    flush_s : seconds that a row may wait in memory
    rotate_bytes : a file is closed once it is this long
    queue_rows : rows that may wait

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
    ) -> None:
        self.folder = folder
        self.fsync = fsync
        self.flush_s = flush_s
        self.rotate_bytes = rotate_bytes
        self.queue_rows = queue_rows
        self.written = self.dropped = self.failed = 0
        self._queue: deque[Row] = deque()
        self._encoder = msgspec.json.Encoder()
        self._stop = threading.Event()
        self._started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._number = 0
        self._size = 0
        self._unsynced = False
        self._synced = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self._open()
        self._thread = threading.Thread(target=self._work, name="decision-log", daemon=True)
        self._thread.start()

    def append(self, row: Row) -> bool:
        """Queue a row; False, and counted as dropped, when the queue is full."""
        if len(self._queue) >= self.queue_rows:
            self.dropped += 1
            return False
        self._queue.append(row)
        return True

    def close(self) -> None:
        """Write and sync what waits; the log takes nothing afterwards."""
        self._stop.set()
        self._thread.join()
        os.close(self._file)

    def _work(self) -> None:
        while not self._stop.wait(self.flush_s):
            self._drain()
        self._drain()
        self._sync()

    def _drain(self) -> None:
        while self._queue:
            rows = [self._queue.popleft() for _ in range(min(_CHUNK_ROWS, len(self._queue)))]
            try:
                self._write(self._encoder.encode_lines(rows))
                self.written += len(rows)
            except Exception:
                # Neither a full disk nor a strange row may end the thread; the count is the alarm.
                _LOG.exception("%d rows of the decision log are lost", len(rows))
                self.failed += len(rows)
                self._size = self.rotate_bytes  # the line may be torn: go on in another file
        if self.fsync == "interval" and time.monotonic() - self._synced >= _SYNC_S:
            self._sync()

    def _write(self, data: bytes) -> None:
        if self._size >= self.rotate_bytes:
            self._sync()
            former, self._file = self._file, self._open()
            os.close(former)
        view = memoryview(data)
        while view:
            done = os.write(self._file, view)
            self._size += done
            self._unsynced = True
            view = view[done:]
        if self.fsync == "always":
            self._sync()

    def _sync(self) -> None:
        if self._unsynced and self.fsync != "never":
            os.fsync(self._file)
        self._unsynced = False
        self._synced = time.monotonic()

    def _open(self) -> int:
        self._number += 1
        self._size = 0
        name = f"decisions-{self._started}-{os.getpid()}-{self._number:05d}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.open(self.folder / name, flags, 0o640)
