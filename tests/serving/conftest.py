"""A real service process on loopback, with a real bundle."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.bundles import make_bundle

ROOT = Path(__file__).parents[2]


@contextmanager
def serve(log: Path, **settings: object) -> Iterator[httpx.Client]:
    """Start ``python -m serving`` on a free port, wait until it answers, and end it."""
    with serving_process(log, **settings) as (client, _):
        yield client


@contextmanager
def serving_process(
    log: Path, **settings: object
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """As :func:`serve`, with the process, so that it can be killed.

    ``first_on_path`` is no setting, but a folder whose modules come before all others.
    """
    first_on_path = settings.pop("first_on_path", ROOT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ROUTER_SERVE_")}
    environ |= {f"ROUTER_SERVE_{k.upper()}": str(v) for k, v in settings.items()}
    environ |= {"ROUTER_SERVE_PORT": str(port), "PYTHONPATH": f"{first_on_path}{os.pathsep}{ROOT}"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"], env=environ, cwd=log.parent, stdout=out, stderr=out
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            _wait_for(client, "/healthz", process, log)
            yield client, process
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}: {log.read_text()}")
        try:
            if client.get(path).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the service did not answer: {log.read_text()}")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    make_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decisions")


@pytest.fixture(scope="session")
def client(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path, decisions: Path
) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("service") / "service.log"
    with serve(log, bundle=bundle, decision_log=decisions, log_text="true") as client:
        yield client
