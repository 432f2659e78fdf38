"""Fixtures of doctests; those of tests are in ``tests/``."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent


@pytest.fixture(scope="session")
def encoder_cache() -> Path:
    """The repository's own cache, with the default encoder distilled once (half a minute)."""
    cache = REPOSITORY / ".cache"
    # In a process of its own: distillation imports torch and transformers, whose warnings are
    # theirs, and tests take every warning for an error.
    code = (
        "from pathlib import Path; from pipelines.encoders import get_encoder; "
        f"get_encoder(cache=Path({str(cache)!r}))"
    )
    cache.mkdir(exist_ok=True)
    with (cache / "encoders.lock").open("w") as lock:  # of tests that run side by side, one distils
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return cache


@pytest.fixture(autouse=True)
def _place_for_examples(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Examples of the Python interface find the tests' encoder, a folder and an empty registry."""
    if not _is_interface_example(request.node):
        yield
        return
    from tests.promotion_world import sqlite_store

    cache: Path = request.getfixturevalue("encoder_cache")
    folder: Path = request.getfixturevalue("tmp_path")
    monkeypatch.setenv("ROUTER_ML_CACHE", str(cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(folder))
    monkeypatch.chdir(folder)
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)


def _is_interface_example(item: pytest.Item) -> bool:
    return isinstance(item, pytest.DoctestItem) and any(
        "import router_ml as rm" in example.source for example in item.dtest.examples
    )
