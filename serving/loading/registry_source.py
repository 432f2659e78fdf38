"""A registry address, resolved by a child process (:mod:`serving.loading.registry_watch`).

MLflow takes a second and some 100 MB to import; in a process of its own it delays neither the start
nor a request, and a crash of it costs nothing. The child reports every interval. One that is silent
for too long hangs, in a connection for example: it is ended, and another started.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from router_ml.errors import RegistryError
from serving.loading.sources import Found

_SILENT_S: Final = 60.0
"""A registry and a download may take so long beyond the interval."""
_TICK_MS: Final = 200


class RegistrySource:
    """Follows a registry address.

    Parameters
    ----------
    uri : ``models:/name@alias`` or ``models:/name/version``
    cache_dir : bundles are downloaded to it
    poll_interval_s : seconds between looks
    silent_s : a child that says nothing for so long beyond the interval is ended
    """

    def __init__(
        self, *, uri: str, cache_dir: Path, poll_interval_s: float, silent_s: float = _SILENT_S
    ) -> None:
        self.uri = uri
        self.cache_dir = cache_dir
        self.poll_interval_s = poll_interval_s
        self.silent_s = silent_s
        self.limit_s = 3 * poll_interval_s + 2 * silent_s
        self._closed = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def look(self) -> Found | None:
        """The child's next report; a dead child is started again after the interval."""
        child = self._child or self._start()
        line = self._line(child)
        if line is None:
            return None
        try:
            report = json.loads(line)
            if "error" in report:
                raise RegistryError(report["error"])
            return Found(report["name"], report["version"], Path(report["folder"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"the process that follows {self.uri} reported {line!r}") from error

    def look_now(self) -> None:
        """Do not wait for the interval's end; safe to call from any thread."""
        child = self._child
        if child is not None and child.stdin is not None:
            # A child that ended is started again by look.
            with contextlib.suppress(OSError, ValueError):
                os.write(child.stdin.fileno(), b"\n")

    def close(self) -> None:
        """End the child."""
        self._closed.set()
        if (child := self._child) is not None:
            child.terminate()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "serving.loading.registry_watch", self.uri]
        command += ["--cache", str(self.cache_dir), "--interval", str(self.poll_interval_s)]
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError:
            self._closed.wait(self.poll_interval_s)
            raise
        self._child, self._rest = child, b""
        return child

    def _line(self, child: subprocess.Popen[bytes]) -> bytes | None:
        """One line of the child; ``None`` once closed."""
        out = child.stdout.fileno()  # type: ignore[union-attr]  # it is a pipe
        deadline = time.monotonic() + self.poll_interval_s + self.silent_s
        poll = select.poll()  # select takes no descriptor above 1023
        poll.register(out, select.POLLIN | select.POLLHUP)
        while b"\n" not in self._rest:
            if self._closed.is_set():
                self._end(child)
                return None
            if time.monotonic() > deadline:
                self._end(child)
                raise RegistryError(
                    f"the process that follows {self.uri} said nothing for "
                    f"{self.poll_interval_s + self.silent_s:g} s and was ended"
                )
            if poll.poll(_TICK_MS):
                piece = os.read(out, 65_536)
                if not piece:
                    code = self._end(child)
                    if self._closed.is_set():
                        return None
                    self._closed.wait(self.poll_interval_s)
                    raise RegistryError(
                        f"the process that follows {self.uri} ended with code {code}; its messages "
                        "are in the service's error output"
                    )
                self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _end(self, child: subprocess.Popen[bytes]) -> int:
        self._child = None
        child.terminate()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        return child.returncode
