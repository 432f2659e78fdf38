"""LiteLLM's real proxy in its own environment, mock providers behind it, our service beside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
KEY = "sk-0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def python() -> Path:
    """LiteLLM's own interpreter; tests that need it are skipped where there is none."""
    folder = Path(os.environ.get("ROUTER_ML_LITELLM") or ROOT / ".venv-litellm")
    found = folder / "bin" / "python"
    if not (folder / "bin" / "litellm").exists():
        pytest.skip(f"no LiteLLM in {folder}; run `make setup-litellm`")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    words: list[str | Path], folder: Path, url: str, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in ``folder`` that answers at ``url``; where it does not, its output is shown."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("ROUTER_SERVE_", "LITELLM"))
    }
    settings = inherited | {
        "PYTHONPATH": str(ROOT),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": KEY,
        "NO_PROXY": "*",
        **(environ or {}),
    }
    log = folder / f"{Path(str(words[0])).name}-{free_port()}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(word) for word in words], cwd=folder, env=settings, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 300
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{words[:3]} did not come up: {log.read_text()[-4_000:]}")
            try:
                if httpx.get(url, timeout=2).status_code < 500:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


@dataclass(frozen=True)
class Providers:
    """The mock server of all providers."""

    url: str

    def asked(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/asked").json()["asked"]
        return found

    def candidate(
        self, protocol: str = "openai", model: str = "mock", **more: Any
    ) -> dict[str, Any]:
        """An entry of a catalogue."""
        prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
        if protocol == "openai":
            place = {"model": f"openai/{model}", "api_base": f"{self.url}/v1", "api_key": "sk-mock"}
        elif protocol == "anthropic":
            place = {"model": f"anthropic/{model}", "api_base": self.url, "api_key": "sk-mock"}
        else:
            params = {
                "aws_bedrock_runtime_endpoint": self.url,
                "aws_access_key_id": "mock",
                "aws_secret_access_key": "mock",
                "aws_region_name": "us-east-1",
            }
            return (
                {"model": f"bedrock/converse/anthropic.{model}", "params": params} | prices | more
            )
        return place | prices | more


@pytest.fixture(scope="session")
def providers(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("providers")
    with running([python, "-m", "tests.litellm.mock.providers", str(port)], folder, f"{url}/asked"):
        yield Providers(url)


@dataclass(frozen=True)
class Proxy:
    """A running proxy and the log of its calls."""

    client: httpx.Client
    log: Path

    def post(self, path: str, body: Mapping[str, Any], **more: Any) -> httpx.Response:
        return self.client.post(f"/v1/{path}", json=body, **more)

    def chat(self, model: str, text: str = "Hello there", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.post("chat/completions", body)

    def rows(self, where: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
        """Rows of the log; callbacks write them a moment after the answer."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if found := self.rows_now(where):
                return found
            time.sleep(0.1)
        raise AssertionError("no such row in the log")

    def rows_now(self, where: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
        """Rows that are there already; one that is still being written has no end of line."""
        text = self.log.read_text() if self.log.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [row for row in map(json.loads, lines) if where(row)]


def decision_of(row: Mapping[str, Any]) -> dict[str, Any]:
    spend = (row["metadata"] or {}).get("spend_logs_metadata") or {}
    found: dict[str, Any] = spend.get("router") or {}
    return found


@contextmanager
def gateway(
    python: Path, folder: Path, catalogue: Mapping[str, Any], router: str = "", **options: Any
) -> Iterator[Proxy]:
    """``router-ml gateway``, in LiteLLM's environment."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(dict(catalogue), sort_keys=False))
    port = free_port()
    words: list[str | Path] = [python, "-m", "pipelines.cli", "gateway", "catalogue.yaml"]
    words += ["--port", str(port), "--output", "gateway"]
    words += ["--router", router] if router else []
    words += [word for k, v in options.items() for word in (f"--{k.replace('_', '-')}", str(v))]
    with _proxy(words, folder, port, folder / "gateway" / "requests.jsonl") as proxy:
        yield proxy


@contextmanager
def litellm_proxy(python: Path, folder: Path, config: Mapping[str, Any]) -> Iterator[Proxy]:
    """LiteLLM's proxy with a configuration of one's own, and what stands beside it."""
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
    port = free_port()
    words: list[str | Path] = [python.with_name("litellm"), "--config", "config.yaml"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    with _proxy(words, folder, port, folder / "requests.jsonl") as proxy:
        yield proxy


@contextmanager
def _proxy(words: list[str | Path], folder: Path, port: int, log: Path) -> Iterator[Proxy]:
    url = f"http://127.0.0.1:{port}"
    with running(words, folder, f"{url}/health/liveliness"):
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            yield Proxy(client, log)


class Service(str):
    """The address of a service, with its process."""

    process: subprocess.Popen[bytes]


@contextmanager
def service(folder: Path, **settings: object) -> Iterator[Service]:
    """Our scoring service, in our own environment."""
    port = free_port()
    environ = {f"ROUTER_SERVE_{k.upper()}": str(v) for k, v in settings.items()}
    environ["ROUTER_SERVE_PORT"] = str(port)
    url = f"http://127.0.0.1:{port}"
    words: list[str | Path] = [sys.executable, "-m", "serving"]
    with running(words, folder, f"{url}/readyz", environ) as process:
        found = Service(url)
        found.process = process
        yield found
