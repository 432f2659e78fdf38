"""What clients may do to connections: slow, long, many, rude, gone."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import serve, serving_process
from tests.serving.raw import answer, connect, is_problem, post

BODY = b'{"query": "Mix blue."}'


def port_of(client: httpx.Client) -> int:
    assert client.base_url.port is not None
    return client.base_url.port


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[httpx.Client]:
    """A service with short times and few places."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    options = {"receive_timeout_s": 1, "send_timeout_s": 1, "idle_timeout_s": 2}
    with serve(log, bundle=bundle, max_connections=20, max_header_bytes=4_096, **options) as client:
        yield client


def alive(client: httpx.Client) -> bool:
    with httpx.Client(base_url=client.base_url, timeout=20) as fresh:
        return fresh.post("/v1/route", json={"query": "Mix blue."}).status_code == 200


@pytest.mark.parametrize(
    "part", [b"P", b"POST /v1/route HTTP/1.1\r\nHost: localhost\r\nX-", post(BODY)[:-3]]
)
def test_a_request_that_does_not_end_is_ended(impatient: httpx.Client, part: bytes) -> None:
    with connect(port_of(impatient)) as sock:
        sock.sendall(part)
        assert is_problem(answer(sock), 408)
        assert sock.recv(100) == b""


def test_a_byte_now_and_then_does_not_help(impatient: httpx.Client) -> None:
    with connect(port_of(impatient)) as sock:
        begun = time.monotonic()
        try:
            for byte in post(BODY):
                sock.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - begun < 6


def test_a_connection_without_a_request_is_closed(impatient: httpx.Client) -> None:
    with connect(port_of(impatient)) as fresh, connect(port_of(impatient)) as used:
        used.sendall(post(BODY))
        assert answer(used)[0] == 200
        assert fresh.recv(100) == used.recv(100) == b""


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_long_head_is_refused(impatient: httpx.Client, pieces: int) -> None:
    request = post(BODY, X_Long="x" * 8_000)
    with connect(port_of(impatient)) as sock:
        size = len(request) // pieces + 1
        try:
            for start in range(0, len(request), size):
                sock.sendall(request[start : start + size])
                time.sleep(0.001)
        except OSError:
            pass
        assert is_problem(answer(sock), 431)
    assert alive(impatient)


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nHost : x\r\n\r\n"],
)
def test_what_is_no_http_is_a_problem_document(impatient: httpx.Client, data: bytes) -> None:
    with connect(port_of(impatient)) as sock:
        sock.sendall(data)
        assert is_problem(answer(sock), 400)


def test_more_connections_than_places(impatient: httpx.Client) -> None:
    socks = [connect(port_of(impatient)) for _ in range(24)]
    try:
        time.sleep(0.2)
        socks[-1].sendall(post(BODY))
        response = answer(socks[-1])
        assert is_problem(response, 503)
        assert response[1]["retry-after"] == "1"
    finally:
        for sock in socks:
            sock.close()
    time.sleep(0.2)
    assert alive(impatient)
    assert 'router_connections_refused_total{cause="connections"}' in impatient.get("/metrics").text


def test_a_client_that_takes_no_answer_is_cut_off(impatient: httpx.Client) -> None:
    body = json.dumps({"requests": [{"query": "Mix blue."}] * 256}).encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        sock.connect(("127.0.0.1", port_of(impatient)))
        sock.setblocking(False)
        request = post(body, "/v1/route/batch")
        deadline = time.monotonic() + 20
        while 'cause="send"' not in impatient.get("/metrics").text:
            assert time.monotonic() < deadline, "it was not cut off"
            with contextlib.suppress(OSError):
                sock.send(request)
            time.sleep(0.02)
    assert alive(impatient)


def test_clients_that_vanish_leave_nothing_behind(impatient: httpx.Client) -> None:
    for _ in range(50):
        with connect(port_of(impatient)) as sock:
            sock.sendall(post(b"x" * 900_000, Content_Length="1000000")[:50_000])
    time.sleep(0.3)
    assert alive(impatient)
    text = impatient.get("/metrics").text
    assert "router_http_requests_total" in text


def test_bodies_being_received_share_a_bound(tmp_path: Path, bundle: Path) -> None:
    options = {"max_body_bytes": 500_000, "max_batch_body_bytes": 500_000}
    with serve(tmp_path / "log", bundle=bundle, max_buffered_bytes=500_000, **options) as client:
        socks = [connect(port_of(client)) for _ in range(4)]
        request = post(b'{"query": "' + b"x" * 400_000 + b'"}')
        for sock in socks:
            sock.sendall(request[:-10])
        statuses = []
        for sock in socks:
            sock.sendall(request[-10:])
            statuses.append(answer(sock)[0])
            sock.close()
        assert statuses.count(503) >= 2
        assert alive(client)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/router", "/docs"])
def test_head_is_answered_wherever_get_is(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


def test_descriptors_run_out_and_come_back(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "log_rotate_bytes": 2_000}
    with serving_process(tmp_path / "log", **options) as (client, process):
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (80, 80))
        socks = []
        for _ in range(150):
            socks.append(socket.socket())
            socks[-1].setblocking(False)
            socks[-1].connect_ex(("127.0.0.1", port_of(client)))
        ids = [client.post("/v1/route", json={"query": "a"}).json()["decision_id"]]
        time.sleep(1)
        for sock in socks:
            sock.close()
        time.sleep(1)
        for _ in range(20):
            ids.append(client.post("/v1/route", json={"query": "a"}).json()["decision_id"])
        assert alive(client)
    written = "".join(path.read_text() for path in folder.iterdir())
    assert all(name in written for name in ids)


@pytest.mark.parametrize("rude", ["idle", "half", "unread"])
def test_sigterm_ends_in_time_with_everything_written(
    tmp_path: Path, bundle: Path, rude: str
) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "log_flush_s": 30, "shutdown_s": 2}
    with serving_process(tmp_path / "log", **options) as (client, process):
        answers = [client.post("/v1/route", json={"query": "a"}).json() for _ in range(50)]
        with connect(port_of(client)) as sock:
            if rude == "half":
                sock.sendall(post(BODY)[:-3])
            elif rude == "unread":
                batch = json.dumps({"requests": [{"query": "a"}] * 256}).encode()
                sock.setblocking(False)
                try:
                    for _ in range(50):
                        sock.sendall(post(batch, "/v1/route/batch"))
                except OSError:
                    pass
            time.sleep(0.2)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            assert time.monotonic() - begun < 10
    written = "".join(path.read_text() for path in folder.iterdir())
    assert all(a["decision_id"] in written for a in answers)


def test_sighup_reopens_the_log_and_loses_nothing(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "decisions"
    options = {"bundle": bundle, "decision_log": folder, "log_flush_s": 30}
    with serving_process(tmp_path / "log", **options) as (client, process):
        for number in range(2):
            for _ in range(5):
                assert client.post("/v1/route", json={"query": "a"}).status_code == 200
            process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while len(list(folder.iterdir())) < number + 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        assert process.poll() is None
        lengths = [len(path.read_text().splitlines()) for path in sorted(folder.iterdir())]
        assert lengths == [5, 5, 0]
