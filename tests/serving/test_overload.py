"""More than can be served: some are refused at once, the rest are answered soon."""

from __future__ import annotations

import json
import selectors
import time
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import serve
from tests.serving.raw import answer, connect, post


def crowd(
    port: int, n: int, request: bytes
) -> tuple[list[tuple[int, float]], list[dict[str, str]]]:
    """Status and seconds of n requests sent at once, and the headers of the answers."""
    socks = [connect(port, 60) for _ in range(n)]
    outcomes, headers = [], []
    with selectors.DefaultSelector() as selector:
        begun = {}
        for sock in socks:
            begun[sock] = time.monotonic()
            sock.sendall(request)
            selector.register(sock, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(60):
                sock = key.fileobj  # type: ignore[assignment]
                status, head, _ = answer(sock)
                outcomes.append((status, time.monotonic() - begun[sock]))
                headers.append(head)
                selector.unregister(sock)
                sock.close()
    return outcomes, headers


def test_a_crowd_is_answered_or_refused_soon(tmp_path: Path, bundle: Path) -> None:
    with serve(tmp_path / "log", bundle=bundle, max_waiting=16, deadline_ms=20) as client:
        assert client.base_url.port is not None
        outcomes, headers = crowd(client.base_url.port, 800, post(b'{"query": "Mix blue."}'))
        statuses = [status for status, _ in outcomes]
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) > 0
        for (status, _), head in zip(outcomes, headers, strict=True):
            if status == 503:
                assert head["retry-after"] == "1"
                assert head["content-type"] == "application/problem+json"
        text = client.get("/metrics").text
        shed = sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("router_requests_shed_total")
        )
        assert shed == statuses.count(503)
        assert client.post("/v1/route", json={"query": "a"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/route", "/v1/route/batch", "/v1/cascade/next"])
def test_the_caller_says_how_long_it_waits(client: httpx.Client, path: str) -> None:
    body = {"requests": [{"query": "a"}]} if path.endswith("batch") else {"query": "a"}
    late = client.post(path, json=body, headers={"x-deadline-ms": "0.0001"})
    assert late.status_code == 503
    assert late.headers["retry-after"] == "1"
    assert "waited too long" in late.json()["detail"]
    in_time = client.post(path, json=body, headers={"x-deadline-ms": "60000"})
    assert "waited" not in in_time.text
    for wrong in ("soon", "-1", "0", "nan", "1e9"):
        refused = client.post(path, json=body, headers={"x-deadline-ms": wrong})
        assert refused.status_code == 400
        assert "X-Deadline-Ms" in refused.json()["detail"]


def test_batches_wait_for_each_other_and_singles_do_not(client: httpx.Client) -> None:
    port = client.base_url.port
    assert port is not None
    batch = json.dumps({"requests": [{"query": f"Mix {n}. " * 200} for n in range(256)]}).encode()
    socks = [connect(port) for _ in range(30)]
    for sock in socks:
        sock.sendall(post(batch, "/v1/route/batch"))
    time.sleep(0.05)
    assert client.post("/v1/route", json={"query": "a"}, timeout=2).status_code in (200, 503)
    statuses = []
    for sock in socks:
        statuses.append(answer(sock)[0])
        sock.close()
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 16
