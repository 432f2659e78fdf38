"""A scoring service in a process of its own, and a client on raw keep-alive sockets.

An HTTP client library takes longer than the service.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

READY_S: Final = 60.0
CONNECTIONS: Final = 8


def http(path: str, body: bytes) -> bytes:
    """A whole POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class StatusError(ConnectionError):
    """An answer that is not 200."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"expected status 200, got {status}: {body[:200]!r}")
        self.status = status


class Connection:
    """One keep-alive connection; an answer is complete when its Content-Length is there."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def send(self, request: bytes) -> None:
        """Send a request; the connection must be idle."""
        self._data = b""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read once; the body when it is complete, else ``None``."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the service closed the connection")
        self._data += piece
        head, gap, body = self._data.partition(b"\r\n\r\n")
        if not gap:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise StatusError(int(head[9:12]), body)
        return body

    def ask(self, request: bytes) -> bytes:
        """Send, and wait for the body."""
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body


def ask(port: int, request: bytes) -> bytes:
    """The body that answers a request over a connection of its own."""
    connection = Connection(port)
    with connection.socket:
        return connection.ask(request)


def sequential(port: int, requests: Sequence[bytes]) -> list[float]:
    """Milliseconds of each request over one connection."""
    connection, times = Connection(port), []
    with connection.socket:
        for request in requests:
            started = time.perf_counter()
            connection.ask(request)
            times.append(1e3 * (time.perf_counter() - started))
    return times


def concurrent(port: int, requests: Sequence[bytes]) -> float:
    """Answers a second over 8 connections, each of which sends when its answer is there."""
    waiting = iter(requests)
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        open_connections = 0
        for request in (next(waiting) for _ in range(CONNECTIONS)):
            connection = Connection(port)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(request)
            open_connections += 1
        while open_connections:
            for key, _ in selector.select():
                if key.data.receive() is None:
                    continue
                following = next(waiting, None)
                if following is not None:
                    key.data.send(following)
                else:
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
                    open_connections -= 1
    return len(requests) / (time.perf_counter() - started)


@contextmanager
def service(
    bundle: Path,
    *,
    noop_bytes: int = 1_000,
    ready: list[float] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[tuple[int, int]]:
    """Port and process id of a running service, decision log included.

    Parameters
    ----------
    noop_bytes : length of the no-op's answer
    ready : the seconds it took to be ready are appended
    settings : further ``ROUTER_SERVE_*`` variables, without the prefix
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as scratch:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ROUTER_SERVE_")}
        environ |= {
            "ROUTER_SERVE_BUNDLE": str(bundle.resolve()),
            "ROUTER_SERVE_PORT": str(port),
            "ROUTER_SERVE_DECISION_LOG": scratch,
            "ROUTER_NOOP_BYTES": str(noop_bytes),
            **{f"ROUTER_SERVE_{name}": value for name, value in (settings or {}).items()},
        }
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.benchmark"], env=environ, stderr=subprocess.DEVNULL
        )
        try:
            wait_until_ready(port, process)
            if ready is not None:
                ready.append(time.perf_counter() - started)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for a router; ConnectionError when none comes."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except ConnectionError:
            time.sleep(0.01)
        else:
            return
    raise ConnectionError(
        f"expected the service to be ready within {READY_S:g} s; it is not (exit code "
        f"{process.returncode}): run `python -m serving` with the same bundle to see why"
    )


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
