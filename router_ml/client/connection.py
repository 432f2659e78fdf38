"""Kept connections on which every exchange ends by its deadline, however slowly bytes arrive."""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from router_ml.errors import ConfigError

_ADDRESS_S: Final = 60.0
"""An address that was looked up is used for so long; looking up has no timeout of its own."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is.

    Parameters
    ----------
    host, port : of it
    prefix : path that all requests begin with
    tls : ``None`` = in the clear
    """

    host: str
    port: int
    prefix: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Address:
        """Of ``http://host:port`` or ``https://host``; ConfigError for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"url must be http://host:port or https://host, got {url!r}")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, parts.path.rstrip("/"), tls)


class Connections:
    """A pool of keep-alive connections to one service; safe to use from several threads.

    Parameters
    ----------
    url : ``http://host:port`` or ``https://host``, with the path that all requests begin with
    kept : connections that may wait for their next use
    """

    def __init__(self, *, url: str, kept: int) -> None:
        self._at = at = Address.of(url)
        self._address = _Known(at.host, at.port)
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(kept)

    def post(
        self, path: str, body: bytes, headers: dict[str, str], deadline: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer; a kept connection that was closed is replaced once.

        Raises
        ------
        OSError, http.client.HTTPException
            If there is no answer by the deadline, as ``time.monotonic`` has it.
        """
        try:
            connection, kept = self._idle.get_nowait(), True
        except queue.Empty:
            connection, kept = self._connect(deadline), False
        try:
            return self._exchange(connection, path, body, headers, deadline)
        except (ConnectionError, http.client.BadStatusLine):
            if not kept:
                raise
        return self._exchange(self._connect(deadline), path, body, headers, deadline)

    def close(self) -> None:
        """Close the connections that are kept."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: bytes,
        headers: dict[str, str],
        deadline: float,
    ) -> tuple[int, bytes]:
        sock: Any = connection.sock
        try:
            sock.deadline = deadline
            connection.request("POST", self._at.prefix + path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            try:
                self._idle.put_nowait(connection)
            except queue.Full:
                connection.close()
        return response.status, content

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        raw = socket.create_connection(self._address.get(left_s(deadline)), left_s(deadline))
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._at.tls is not None:
                raw = self._at.tls.wrap_socket(raw, server_hostname=self._at.host)
        except BaseException:
            raw.close()
            raise
        connection = http.client.HTTPConnection(self._at.host, self._at.port)
        connection.sock = _Deadlined(raw, deadline)
        return connection


class _Deadlined:
    """What ``http.client`` needs of a socket; every wait ends by the deadline.

    As a socket it stays open for a reader: of an answer that ends with its connection,
    ``http.client`` closes the socket first and then reads.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self._readers = 0
        self._closed = False

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(left_s(self.deadline))
        self.sock.sendall(data)

    def makefile(self, mode: str, buffering: int = -1) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._closed = True
        self._close_unread()

    def left(self) -> None:
        """A reader has gone."""
        self._readers -= 1
        self._close_unread()

    def _close_unread(self) -> None:
        if self._closed and not self._readers:
            self.sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, owner: _Deadlined) -> None:
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._owner.sock.settimeout(left_s(self._owner.deadline))
        return self._owner.sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._owner.left()
        super().close()


class _Known:
    """A name looked up in a thread, so that a resolver that hangs does not hang the caller."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lock = threading.Lock()
        self._known: tuple[str, int] | None = None
        self._until = 0.0
        self._looking: threading.Thread | None = None

    def get(self, timeout_s: float) -> tuple[str, int]:
        if self._known is None or time.monotonic() > self._until:
            with self._lock:
                if self._looking is None or not self._looking.is_alive():
                    self._looking = threading.Thread(target=self._look_up, daemon=True)
                    self._looking.start()
                looking = self._looking
            if self._known is None:
                looking.join(timeout_s)
        if self._known is None:
            raise TimeoutError(f"{self._host} was not looked up in time")
        return self._known

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            return
        host, port = found[0][4][:2]
        self._known, self._until = (str(host), int(port)), time.monotonic() + _ADDRESS_S


def left_s(deadline: float) -> float:
    """Seconds until the deadline; TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the call took too long")
    return left
