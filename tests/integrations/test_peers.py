"""Tests that need other systems' packages, each run in the environment that holds them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.serving.conftest import serve

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PEERS = ROOT / "tests" / "peers"


def python_of(name: str) -> Path:
    """The interpreter of ``.venv-NAME``; without it the test is skipped, but not in CI."""
    variable = f"ROUTER_ML_{name.upper()}"
    python = Path(os.environ.get(variable) or ROOT / f".venv-{name}") / "bin" / "python"
    if not python.exists():
        if "CI" in os.environ:
            pytest.fail(f"CI must run `make setup-{name}` first")
        pytest.skip(f"no {python}; run `make setup-{name}`, or set {variable}")
    return python


def run(name: str, folder: str, **environ: str) -> None:
    words = [str(python_of(name)), "-m", "pytest", "-q", "-c", str(PEERS / "pytest.ini")]
    settings = {k: v for k, v in os.environ.items() if not k.startswith("ROUTER_SERVE_")}
    done = subprocess.run(
        [*words, "--rootdir", str(ROOT), str(PEERS / folder)],
        cwd=ROOT,
        env=settings | {"HF_HUB_OFFLINE": "1"} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    print(done.stdout.splitlines()[-1])  # noqa: T201 - how many ran, for `pytest -rP`


def test_langchain_and_langgraph(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    settings = {"bundle": tmp_path / "bundle", "decision_log": tmp_path / "decisions"}
    with serve(tmp_path / "log", **settings) as client:
        run("litellm", "agents", ROUTER_URL=str(client.base_url))


def test_vector_stores() -> None:
    run("peers", "vector_stores")


def test_guards() -> None:
    run("peers", "guards")


def test_tracking() -> None:
    run("peers", "tracking")
