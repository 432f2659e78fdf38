"""How fast one worker of the scoring service is: the ``serve`` part of ``bench.json``.

The service runs in its own process on loopback; this process is the client, on raw keep-alive
sockets, because an HTTP client library takes longer than the service. Every figure is the median
of several rounds, route and no-op in turn, since neighbours on the machine come and go.
"""

from __future__ import annotations

import gzip
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.benchmarks.unseen import unseen_bodies
from router_ml.errors import DataError

N_PROMPTS: Final = 2_000
_READY_S: Final = 60.0
_CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class ServeBenchmark:
    """What was reached; the names are the keys of ``bench.json``.

    Parameters
    ----------
    p50_ms, p99_ms : time from the first byte sent to the last received, one connection, prompts
        never seen before
    rps, noop_rps : answers a second over 8 connections, of ``/v1/route`` and of the no-op path
    share_of_noop : ``rps / noop_rps``
    rss_mb : resident memory of the service after the load
    ready_s : from the start of the process to ``/readyz`` saying so, from a bundle folder
    """

    p50_ms: float
    p99_ms: float
    rps: float
    noop_rps: float
    share_of_noop: float
    rss_mb: float
    ready_s: float


def benchmark_serve(
    bundle: Path,
    *,
    bodies: Sequence[bytes],
    rounds: int = 5,
    n_requests: int = 3_000,
    progress: Callable[[str], None] | None = None,
) -> ServeBenchmark:
    """Measure a bundle folder behind HTTP, decision log included.

    Parameters
    ----------
    bundle : folder that ``router_ml.bundle.write_bundle`` wrote
    bodies : JSON bodies of ``/v1/route``, see :func:`prompt_bodies`; what is measured are prompts
        made of theirs, none of which is sent twice
    rounds, n_requests : measurements, and requests in each
    progress : is told what comes next
    """
    say = progress or (lambda text: None)
    warm, bodies = bodies[:500], unseen_bodies(bodies, rounds * n_requests)
    say("start")
    ready: list[float] = []
    with _service(bundle, noop_bytes=1_000, ready=ready) as (port, _):
        answers = [_ask(port, _http("/v1/route", body)) for body in warm[:200]]
    noop_bytes = int(statistics.median(map(len, answers)))
    route = [_http("/v1/route", body) for body in bodies]
    noop = [_http("/noop", body) for body in bodies]
    latencies: list[list[float]] = []
    rates: dict[str, list[float]] = {"route": [], "noop": []}
    with _service(bundle, noop_bytes=noop_bytes, ready=ready) as (port, pid):
        _sequential(port, [_http("/v1/route", body) for body in warm])
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            part = slice(number * n_requests, (number + 1) * n_requests)
            half = route[part][: n_requests // 2], route[part][n_requests // 2 :]
            latencies.append(_sequential(port, half[0]))
            rates["route"].append(_concurrent(port, half[1]))
            rates["noop"].append(_concurrent(port, noop[part]))
        rss_mb = _rss_mb(pid)
    with _service(bundle, noop_bytes=noop_bytes, ready=ready):
        pass
    rps, noop_rps = (statistics.median(rates[name]) for name in ("route", "noop"))
    return ServeBenchmark(
        p50_ms=statistics.median(float(np.percentile(x, 50)) for x in latencies),
        p99_ms=statistics.median(float(np.percentile(x, 99)) for x in latencies),
        rps=rps,
        noop_rps=noop_rps,
        share_of_noop=rps / noop_rps,
        rss_mb=rss_mb,
        ready_s=statistics.median(ready),
    )


def prompt_bodies(requests: Path, *, limit: int = N_PROMPTS) -> list[bytes]:
    """Distinct prompts with their tools out of a LiteLLM request log, as bodies of ``/v1/route``.

    Raises
    ------
    DataError
        If the log has no prompt.
    """
    opened = gzip.open if requests.suffix == ".gz" else open
    bodies: dict[bytes, None] = {}
    with opened(requests, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            body = {"messages": row["messages"]}
            if tools := (row.get("model_parameters") or {}).get("tools"):
                body["tools"] = tools
            bodies[json.dumps(body).encode()] = None
            if len(bodies) >= limit:
                break
    if not bodies:
        raise DataError(f"expected requests in {requests}, found none; name another log")
    return list(bodies)


def _http(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """One keep-alive connection; an answer is complete when its Content-Length is there."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def send(self, request: bytes) -> None:
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
            raise ConnectionError(f"expected status 200, got {head[:40]!r}: {body[:200]!r}")
        return body

    def ask(self, request: bytes) -> bytes:
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body


def _ask(port: int, request: bytes) -> bytes:
    connection = _Connection(port)
    with connection.socket:
        return connection.ask(request)


def _sequential(port: int, requests: Sequence[bytes]) -> list[float]:
    """Milliseconds of each request over one connection."""
    connection, times = _Connection(port), []
    with connection.socket:
        for request in requests:
            started = time.perf_counter()
            connection.ask(request)
            times.append(1e3 * (time.perf_counter() - started))
    return times


def _concurrent(port: int, requests: Sequence[bytes]) -> float:
    """Answers a second over 8 connections, each of which sends when its answer is there."""
    waiting = iter(requests)
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        open_connections = 0
        for request in (next(waiting) for _ in range(_CONNECTIONS)):
            connection = _Connection(port)
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
def _service(bundle: Path, *, noop_bytes: int, ready: list[float]) -> Iterator[tuple[int, int]]:
    """Port and process id of a running service; appends the seconds it took to be ready."""
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
        }
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.benchmark"], env=environ, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_ready(port, process)
            ready.append(time.perf_counter() - started)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _ask(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except ConnectionError:
            time.sleep(0.01)
        else:
            return
    raise ConnectionError(
        f"expected the service to be ready within {_READY_S:g} s; it is not (exit code "
        f"{process.returncode}): run `python -m serving` with the same bundle to see why"
    )


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
