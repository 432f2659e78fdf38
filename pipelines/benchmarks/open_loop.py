"""Requests that have their times, as those of users do.

Latency counts from when a request was due: a service that stalls cannot slow its own load down.
"""

from __future__ import annotations

import selectors
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pipelines.benchmarks.http_load import Connection, StatusError

_SPIN_S: Final = 0.0015
"""A selector sleeps whole milliseconds: it is not let sleep so shortly before a request is due."""
BROKEN: Final = 0
"""In place of a status: the connection broke."""


@dataclass(slots=True)
class OpenLoop:
    """What came of the requests.

    Parameters
    ----------
    latencies_ms : of those answered 200, from when each was due to the last byte of its answer
    failures : numbers of the others by status
    late_ms : the longest that the client itself sent one late, with a connection free
    """

    latencies_ms: list[float] = field(default_factory=list)
    failures: Counter[int] = field(default_factory=Counter)
    late_ms: float = 0.0

    @property
    def done(self) -> int:
        """Requests that are over."""
        return len(self.latencies_ms) + self.failures.total()


def open_loop(
    port: int,
    requests: Sequence[bytes],
    due_s: Sequence[float],
    *,
    connections: int = 64,
) -> OpenLoop:
    """Send each request when it is due, whatever became of those before it.

    Parameters
    ----------
    due_s : rising seconds from the start; as many as requests
    connections : beyond as many under way, further ones wait, and their time counts
    """
    with selectors.DefaultSelector() as selector:
        client = _Client(port, requests, due_s, selector)
        for _ in range(connections):
            client.connect()
        while client.found.done < len(requests):
            client.send_due()
            for key, _ in selector.select(max(0.0, client.rest_s() - _SPIN_S)):
                client.receive(key.data)
        for key in [*selector.get_map().values()]:
            key.data.socket.close()
        return client.found


class _Client:
    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        due_s: Sequence[float],
        selector: selectors.BaseSelector,
    ) -> None:
        self.found = OpenLoop()
        self._port = port
        self._requests = requests
        self._due_s = due_s
        self._selector = selector
        self._free: deque[Connection] = deque()
        self._under_way: dict[Connection, int] = {}
        self._next = 0
        self._start = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._start

    def rest_s(self) -> float:
        """Until the next one is due; a moment when all were sent, or all connections are busy."""
        if self._next == len(self._requests) or not self._free:
            return 0.1
        return self._due_s[self._next] - self.now()

    def connect(self) -> None:
        connection = Connection(self._port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._free.append(connection)

    def send_due(self) -> None:
        had_free = bool(self._free)
        while self._free and self._next < len(self._requests):
            late = self.now() - self._due_s[self._next]
            if late < 0.0:
                return
            if had_free and not self._under_way:
                self.found.late_ms = max(self.found.late_ms, 1e3 * late)
            connection = self._free.popleft()
            self._under_way[connection] = self._next
            try:
                connection.send(self._requests[self._next])
            except OSError:
                self._fail(connection, BROKEN)
            self._next += 1

    def receive(self, connection: Connection) -> None:
        try:
            if connection.receive() is None:
                return
        except StatusError as error:
            self._fail(connection, error.status)
            return
        except OSError:
            self._fail(connection, BROKEN)
            return
        due = self._due_s[self._under_way.pop(connection)]
        self.found.latencies_ms.append(1e3 * (self.now() - due))
        self._free.append(connection)

    def _fail(self, connection: Connection, status: int) -> None:
        if self._under_way.pop(connection, None) is not None:
            self.found.failures[status] += 1
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self.connect()
