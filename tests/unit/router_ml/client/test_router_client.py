"""Whatever the service does, the caller has somebody to ask, in time."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from router_ml.client import AsyncRouterClient, Breaker, Choice, RouterClient
from router_ml.errors import ConfigError

ANSWER = {
    "decision_id": "d-1",
    "candidate": "large",
    "ranking": [{"candidate": "large"}, {"candidate": "small"}],
    "reason": "best",
}


class Awaited:
    """The client of asyncio, in a loop of its own, as the other one is called."""

    def __init__(self, **given: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncRouterClient(**given)
        self.breaker = self._client.breaker

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._loop.run_until_complete(asyncio.sleep(0))  # so that transports are closed
        self._loop.close()

    def route(self, *given: Any, **fields: Any) -> Choice:
        return self._loop.run_until_complete(self._client.route(*given, **fields))

    def feedback(self, decision_id: str | None, **fields: Any) -> bool:
        return self._loop.run_until_complete(self._client.feedback(decision_id, **fields))


CLIENTS = (RouterClient, Awaited)
Reply = Callable[[socket.socket, int], None]


@contextmanager
def service(reply: Reply) -> Iterator[tuple[str, list[int]]]:
    """A server that reads a request and lets ``reply`` do the rest; the numbers of its requests."""
    asked: list[int] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(65_536):
                head, _, body = data.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(body) < length:
                    body += self.request.recv(65_536)
                asked.append(len(asked))
                reply(self.request, asked[-1])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()


def send(status: int, body: object) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    return lambda sock, n: sock.sendall(head + data)


def slowly(sock: socket.socket, n: int) -> None:
    try:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            sock.sendall(b"X")
            time.sleep(0.05)
    except OSError:
        pass


def hang_up(sock: socket.socket, n: int) -> None:
    sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_routers_answer_over_one_connection(kind: Any) -> None:
    with service(send(200, ANSWER)) as (url, asked):
        with kind(url=url, fallback="small", timeout_s=5) as client:
            for _ in range(3):
                choice = client.route([{"role": "user", "content": "Hello"}], cost_weight=1.0)
        assert (choice.candidate, choice.source, choice.decision_id) == ("large", "router", "d-1")
        assert choice.ranking == ("large", "small")
        assert len(asked) == 3


@pytest.mark.parametrize(
    "reply",
    [
        send(503, {"detail": "overload"}),
        send(422, {"detail": "no text"}),
        send(200, b"<html>"),
        send(200, []),
        send(200, {"candidate": "large"}),
        hang_up,
        slowly,
        lambda sock, n: time.sleep(1),
        lambda sock, n: sock.sendall(b"nonsense\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("kind", CLIENTS)
def test_anything_else_is_answered_by_the_fallback_in_time(kind: Any, reply: Reply) -> None:
    with service(reply) as (url, _):
        begun = time.monotonic()
        with kind(url=url, fallback="small", timeout_s=0.3) as client:
            choice = client.route(query="Hello")
        assert time.monotonic() - begun < 0.9
    assert (choice.candidate, choice.ranking, choice.source) == ("small", ("small",), "fallback")
    assert choice.decision_id is None


@pytest.mark.parametrize("kind", CLIENTS)
def test_nobody_listens_and_a_name_that_does_not_exist(kind: Any) -> None:
    for url in ("http://127.0.0.1:9", "http://router.invalid"):
        begun = time.monotonic()
        with kind(url=url, fallback="small", timeout_s=0.5) as client:
            assert client.route(query="Hello").source == "fallback"
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_body_that_is_no_json_is_no_failure_of_the_router(kind: Any) -> None:
    breaker = Breaker(failures=1, pause_s=60)
    with kind(url="http://127.0.0.1:9", fallback="small", breaker=breaker) as client:
        assert client.route(query=object()).source == "fallback"
    assert breaker.allows(now=time.monotonic())


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_breaker_leaves_a_dead_router_alone_and_comes_back(kind: Any) -> None:
    up = [False]

    def reply(sock: socket.socket, n: int) -> None:
        (send(200, ANSWER) if up[0] else send(500, {}))(sock, n)

    with service(reply) as (url, asked):
        breaker = Breaker(failures=3, pause_s=0.3)
        with kind(url=url, fallback="small", timeout_s=5, breaker=breaker) as client:
            for _ in range(10):
                assert client.route(query="Hello").source == "fallback"
            assert len(asked) == 3
            up[0] = True
            time.sleep(0.35)
            assert client.route(query="Hello").source == "router"
            assert client.route(query="Hello").source == "router"


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_connection_that_the_service_closed_is_replaced(kind: Any) -> None:
    def reply(sock: socket.socket, n: int) -> None:
        send(200, ANSWER)(sock, n)
        sock.shutdown(socket.SHUT_RDWR)

    with (
        service(reply) as (url, _),
        kind(url=url, fallback="small", timeout_s=5) as client,
    ):
        for _ in range(3):
            assert client.route(query="Hello").source == "router"
            time.sleep(0.05)


@pytest.mark.parametrize("kind", CLIENTS)
def test_feedback_never_raises(kind: Any) -> None:
    with service(send(202, {"status": "recorded"})) as (url, asked):
        with kind(url=url, fallback="small", timeout_s=5) as client:
            assert client.feedback("d-1", quality=1.0)
            assert not client.feedback(None, quality=1.0)
        assert len(asked) == 1
    with kind(url="http://127.0.0.1:9", fallback="small") as client:
        assert not client.feedback("d-1")


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_answer_in_chunks_and_one_that_ends_with_its_connection(kind: Any) -> None:
    data = json.dumps(ANSWER).encode()
    parts = (data[:7], data[7:])
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"

    def reply(sock: socket.socket, n: int) -> None:
        if n < 2:
            sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        else:
            sock.sendall(head + b"\r\n" + data)
            sock.shutdown(socket.SHUT_RDWR)

    with (
        service(reply) as (url, asked),
        kind(url=url, fallback="small", timeout_s=5) as client,
    ):
        sources = [client.route(query="Hello").source for _ in range(4)]
    assert (sources, len(asked)) == (["router"] * 4, 4)


def test_connections_of_a_loop_that_ended_are_not_used() -> None:
    with service(send(200, ANSWER)) as (url, _):
        client = AsyncRouterClient(url=url, fallback="small", timeout_s=5)

        async def ask() -> str:
            async with client:
                return (await client.route(query="Hello", traceparent="00-a-b-01")).source

        assert [asyncio.run(ask()) for _ in range(2)] == ["router", "router"]


def test_many_at_once_keep_their_answers_apart() -> None:
    def reply(sock: socket.socket, n: int) -> None:
        time.sleep(0.002 * (n % 3))
        send(200, ANSWER | {"decision_id": f"d-{n}"})(sock, n)

    async def ask_all(url: str) -> list[Choice]:
        async with AsyncRouterClient(url=url, fallback="small", timeout_s=5) as client:
            first = await asyncio.gather(*(client.route(query=str(i)) for i in range(40)))
            return [*first, *await asyncio.gather(*(client.route(query="x") for _ in range(40)))]

    with service(reply) as (url, _):
        choices = asyncio.run(ask_all(url))
    assert {choice.source for choice in choices} == {"router"}


@pytest.mark.parametrize(
    "arguments",
    [{"url": "router:8080"}, {"fallback": ""}, {"timeout_s": 0}],
)
def test_what_is_wrong_is_said_at_once(arguments: dict[str, object]) -> None:
    given = {"url": "http://router:8080", "fallback": "small"} | arguments
    with pytest.raises(ConfigError):
        RouterClient(**given)  # type: ignore[arg-type]


def test_it_imports_the_standard_library_alone() -> None:
    code = (
        "import sys; import router_ml.client; "
        "print(sorted({m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(done.stdout.replace("'", '"')) if name[0] != "_"}
    assert loaded <= {"router_ml", "pipelines", "sitecustomize"}
