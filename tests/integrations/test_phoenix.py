"""Decisions in a real Phoenix, as spans."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import make_bundle
from tests.cascades import cascade_extras
from tests.integrations.test_peers import ROOT, python_of
from tests.litellm.conftest import free_port
from tests.serving.conftest import serve

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "integrations" / "phoenix.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "the maiden name is Byron"


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("phoenix")
    port = free_port()
    environ = os.environ | {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (folder / "log").open("w") as out:
        command = [str(python_of("peers").parent / "phoenix"), "serve"]
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 240
            while time.monotonic() < deadline:
                assert process.poll() is None, (folder / "log").read_text()[-3_000:]
                try:
                    if client.get("/healthz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def on_the_page(port: int | None) -> dict[str, str]:
    """The setting with which the page starts the service, for a Phoenix at ``port``."""
    [(name, address)] = re.findall(
        r"^ROUTER_SERVE_(\w+)=(\S+) router-ml serve", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name.lower(): address.replace(":6006/", f":{port}/")}


def spans(phoenix: httpx.Client, n: int) -> list[dict[str, Any]]:
    """Spans of the default project, once there are so many."""
    deadline = time.monotonic() + 60
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline and len(found) < n:
        answer = phoenix.get("/v1/projects/default/spans", params={"limit": 100})
        found = answer.json().get("data", []) if answer.status_code == 200 else []
        time.sleep(0.2)
    return found


def test_decisions_arrive_with_their_attributes_and_without_text(
    phoenix: httpx.Client, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "bundle", extras=cascade_extras())
    settings = {"bundle": tmp_path / "bundle", **on_the_page(phoenix.base_url.port)}
    parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    with serve(tmp_path / "log", **settings) as client:
        body = {"query": SECRET, "session_id": "s-1", "tags": {"team": "search"}, "request_id": "r"}
        decision = client.post("/v1/route", json=body, headers=parent).json()
        batch = {"requests": [{"query": SECRET}, {"query": "prove it"}]}
        client.post("/v1/route/batch", json=batch)
        turn = {"candidate": "candidate-0", "text": "It is 47."}
        step = {"query": SECRET, "answers": [turn]}
        step = client.post("/v1/cascade/next", json=step, headers=parent).json()
    found = spans(phoenix, 4)
    assert len(found) == 4
    assert SECRET not in json.dumps(found)
    by_id = {span["attributes"]["router.decision_id"]: span for span in found}
    span = by_id[decision["decision_id"]]
    attributes = span["attributes"]
    assert span["context"]["trace_id"] == TRACE
    assert span["name"] == "route"
    assert span["span_kind"] == "CHAIN"
    assert attributes["gen_ai.request.model"] == decision["candidate"]
    assert attributes["session.id"] == "s-1"
    assert attributes["metadata.team"] == "search"
    assert attributes["router.propensity"] == pytest.approx(decision["propensity"])
    assert attributes["router.quality"] == pytest.approx(decision["ranking"][0]["quality"])
    assert span["end_time"] > span["start_time"]
    span = by_id[step["decision_id"]]
    assert span["name"] == "cascade"
    assert span["context"]["trace_id"] == TRACE
    assert span["attributes"]["router.action"] == step["action"]
    assert span["attributes"]["router.quality"] == pytest.approx(step["quality"])


@pytest.mark.parametrize("kind", ["down", "slow"])
def test_a_collector_that_is_down_or_slow_costs_no_request(tmp_path: Path, kind: str) -> None:
    make_bundle(tmp_path / "bundle")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        if kind == "slow":
            mute.listen()  # and never answers
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}/v1/traces"
        settings = {"bundle": tmp_path / "bundle", "otlp_endpoint": endpoint, "shutdown_s": 1}
        with serve(tmp_path / "log", **settings) as client:
            for _ in range(50):
                assert client.post("/v1/route", json={"query": "hello"}).status_code == 200
