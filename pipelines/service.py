"""A scoring service in a process of its own, for the demo and simulations."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from router_ml.errors import ScorerUnavailableError

_READY_S: Final = 180.0
_TIMEOUT_S: Final = 30.0


@contextmanager
def running_service(
    bundle: str, settings: Mapping[str, str] | None = None, *, log: Path | None = None
) -> Iterator[str]:
    """Base address of a scoring service in its own process, ready to answer; stopped at the end.

    Parameters
    ----------
    bundle : bundle folder or registry address
    settings : further ``ROUTER_SERVE_*`` variables, without the prefix
    log : file for its error output; default: discarded

    Raises
    ------
    ScorerUnavailableError
        If the service does not become ready.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipelines.cli", "serve", bundle, "--port", str(port)]
    environ = os.environ | {f"ROUTER_SERVE_{k}": v for k, v in (settings or {}).items()}
    with Path(os.devnull if log is None else log).open("ab") as errors:
        process = subprocess.Popen(command, env=environ, stderr=errors)
    try:
        deadline = time.monotonic() + _READY_S
        while not _answers(f"{address}/readyz"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ScorerUnavailableError(
                    f"the service did not become ready within {_READY_S:g} s; run `router-ml serve "
                    f"{bundle}` to see why"
                )
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


class Client:
    """One kept-alive connection to a service.

    Parameters
    ----------
    address : ``http://host:port``
    """

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """GET JSON."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON, return JSON.

        Raises
        ------
        ScorerUnavailableError
            If the service answers with an error.
        """
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise ScorerUnavailableError(
                f"{method} {path} was answered {response.status}: {text[:500].decode()}"
            )
        decoded: dict[str, Any] = json.loads(text)
        return decoded


def post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST JSON over a connection of its own, return JSON."""
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        decoded: dict[str, Any] = json.loads(answer.read())
        return decoded


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
