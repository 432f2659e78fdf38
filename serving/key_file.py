"""Reads the keys file again when it changes, and keeps the former keys when it is wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from router_ml.errors import ConfigError
from serving.heartbeat import Heartbeat
from serving.keys import Keyring, read_keys
from serving.reasons import full_reason, public_reason

_LOG: Final = logging.getLogger(__name__)
_State = tuple[int, int, int]


class KeyFile:
    """Follows a keys file in a thread.

    Parameters
    ----------
    path : of the file
    api_keys : of the variable, in force beside it
    poll_interval_s : seconds between looks
    put_in_force : is given every new keyring

    Attributes
    ----------
    heartbeat : of the thread
    """

    def __init__(
        self,
        *,
        path: Path,
        api_keys: Sequence[str],
        poll_interval_s: float,
        put_in_force: Callable[[Keyring], None],
    ) -> None:
        self.path = path
        self.api_keys = tuple(api_keys)
        self.poll_interval_s = poll_interval_s
        self.put_in_force = put_in_force
        self.heartbeat = Heartbeat("keys file", 3 * poll_interval_s + 30.0)
        self._state: _State | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keys-file", daemon=True)

    def start(self) -> None:
        """Read the file now, and follow it.

        Raises
        ------
        ConfigError
            If it is wrong: without keys the service would refuse or admit everybody.
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
                    _LOG.error("the former keys stay in force: %s", full_reason(error))
                self.heartbeat.fail(f"{public_reason(error)}; the former keys stay in force")
            else:
                self.heartbeat.beat()

    def _read(self) -> None:
        try:
            there = self.path.stat()
        except OSError as error:
            raise ConfigError(f"expected a keys file at {self.path}: {error}") from error
        state = (there.st_mtime_ns, there.st_size, there.st_ino)
        if state != self._state:
            self.put_in_force(read_keys(self.path, self.api_keys))
            if self._state is not None:
                _LOG.info("the keys file was read again")
            self._state = state
