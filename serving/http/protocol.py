"""Connections: what a client may take of headers, time and places, whatever it sends.

uvicorn's protocol bounds none of it but the time between requests. This one looks once a second at
every connection, so that a request pays for no timer.

=========================== ============== =====================================
what                        limit          answer
=========================== ============== =====================================
open connections            connections    503, and the connection is closed
bytes of a request's head   header_bytes   431
first to last byte          receive_s      408
answer not being taken      send_s         none: the connection is cut
connection without request  idle_s         none: it is closed
no HTTP                     –              400
=========================== ============== =====================================
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.endpoint import ARRIVED
from serving.http.errors import MEDIA_TYPE, problem, raw_response

_SWEEP_S: Final = 1.0
_REFUSED: Final = 256
"""Connections beyond the limit that still hear why; more are closed at once."""
_OWN_FILES: Final = 64
"""Descriptors that log, bundle and listener need."""
_FULL: Final = problem(503, "too many connections are open; try again")


@dataclass(slots=True)
class ConnectionLimits:
    """Limits of the connections of one process, and how often each was reached.

    Parameters
    ----------
    connections : open at once
    header_bytes : of one request's head
    receive_s, send_s, idle_s : seconds; see the module
    """

    connections: int = 2_048
    header_bytes: int = 32_768
    receive_s: float = 10.0
    send_s: float = 30.0
    idle_s: float = 75.0

    def __post_init__(self) -> None:
        self.connections = min(self.connections, max(1, _descriptors() - _OWN_FILES))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 within ``app.state.limits``; counts into ``app.state.refused``."""

    def connection_made(self, transport: Any) -> None:
        """Take a place, or tell the client that there is none."""
        super().connection_made(transport)
        state = self.config.loaded_app.state
        self._limits: ConnectionLimits = state.limits
        self._refused: Counter[str] = state.refused
        self._piece = 0
        self._head: int | None = 0  # bytes of an unfinished head, None after its end
        self._began: float | None = None  # of a request that is being received
        self._idle: float | None = time.monotonic()
        self._stalled: float | None = None
        over = len(self.connections) - self._limits.connections
        if over > 0:
            self._refused["connections"] += 1
            self.app = _unavailable
            if over > _REFUSED:
                transport.abort()
                return
        if not getattr(self.server_state, "sweeping", False):
            self.server_state.sweeping = True  # type: ignore[attr-defined]
            self.loop.call_later(_SWEEP_S, _sweep, self.loop, self.server_state)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and refuse a head that is too long."""
        if self._began is None:
            self._began, self._idle = time.monotonic(), None
        self._piece = len(data)
        super().data_received(data)
        if self._head is not None and self._began is not None:
            self._head += len(data)
            if self._head > self._limits.header_bytes:
                self._refuse(431, "expected shorter headers", "header_bytes")

    def on_message_begin(self) -> None:
        """A further request, perhaps in the bytes of the former one."""
        self._head = 0
        if self._began is None:
            self._began = time.monotonic()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole; it may still be too long when it came in one piece."""
        most = (self._head or 0) + self._piece
        self._head = None
        if most > self._limits.header_bytes:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url)
            if size > self._limits.header_bytes:
                self._refuse(431, "expected shorter headers", "header_bytes")
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bytes of a body, unless its head was refused."""
        if self.cycle is not None and not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: its waiting begins."""
        self._began, self._head, self._idle = None, 0, time.monotonic()
        if self.cycle is None or self.transport.is_closing():
            return
        self.scope[ARRIVED] = time.perf_counter()  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """A problem document where uvicorn sends text."""
        self._refuse(400, "expected an HTTP/1.1 request", "not_http")

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        self._stalled = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It goes on."""
        self._stalled = None
        super().resume_writing()

    def check(self, now: float) -> None:
        """Close the connection if one of its times is over."""
        limits = self._limits
        if self._stalled is not None and now - self._stalled > limits.send_s:
            self._refused["send"] += 1
            self.transport.abort()
        elif self._began is not None and now - self._began > limits.receive_s:
            self._refuse(408, "the request did not arrive in time", "receive")
        elif (
            self._idle is not None
            and now - self._idle > limits.idle_s
            and (self.cycle is None or self.cycle.response_complete)
        ):
            self.transport.close()

    def _refuse(self, status: int, detail: str, cause: str) -> None:
        if self.transport.is_closing():
            return
        self._refused[cause] += 1
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(raw_response(status, detail))
        elif not cycle.response_started:
            # The endpoint still waits for the body: nothing more may be sent by it.
            self.transport.write(raw_response(status, detail))
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


async def _unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(_FULL)),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _FULL})


def _sweep(loop: asyncio.AbstractEventLoop, server_state: Any) -> None:
    now = time.monotonic()
    for connection in list(server_state.connections):
        connection.check(now)
    loop.call_later(_SWEEP_S, _sweep, loop, server_state)


def _descriptors() -> int:
    """Files that the process may have open, after raising the limit as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return 1 << 30 if hard == resource.RLIM_INFINITY else hard
