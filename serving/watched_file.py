"""Reads a file again when it changes, and keeps what it said before when it is wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from router_ml.errors import ConfigError
from serving.heartbeat import Heartbeat
from serving.reasons import full_reason, public_reason

_LOG: Final = logging.getLogger(__name__)
_State = tuple[int, int, int]


class WatchedFile:
    """Follows a file in a thread.

    Parameters
    ----------
    what : such as ``keys file``, in messages and metrics
    path : of the file
    poll_interval_s : seconds between looks
    read : reads it and puts it in force; raises when it is wrong

    Attributes
    ----------
    heartbeat : of the thread
    """

    def __init__(
        self, *, what: str, path: Path, poll_interval_s: float, read: Callable[[], None]
    ) -> None:
        self.what = what
        self.path = path
        self.poll_interval_s = poll_interval_s
        self.read = read
        self.heartbeat = Heartbeat(what, 3 * poll_interval_s + 30.0)
        self._state: _State | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name=what.replace(" ", "-"), daemon=True)

    def start(self) -> None:
        """Read the file now, and follow it.

        Raises
        ------
        ConfigError
            If it is wrong: nothing was in force before.
        """
        self._read()
        self._thread.start()

    def reread(self) -> None:
        """Look now."""
        self._wake.set()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _work(self) -> None:
        while True:
            self._wake.wait(self.poll_interval_s)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self._read()
            except Exception as error:
                if self.heartbeat.reason is None:
                    _LOG.error("the former %s stays in force: %s", self.what, full_reason(error))
                self.heartbeat.fail(f"{public_reason(error)}; the former one stays in force")
            else:
                self.heartbeat.beat()

    def _read(self) -> None:
        try:
            there = self.path.stat()
        except OSError as error:
            raise ConfigError(f"expected a {self.what} at {self.path}: {error}") from error
        state = (there.st_mtime_ns, there.st_size, there.st_ino)
        if state != self._state:
            self.read()
            if self._state is not None:
                _LOG.info("the %s was read again", self.what)
            self._state = state
