"""Fixtures of doctests; those of tests are in ``tests/``."""

from __future__ import annotations

import subprocess
import sys
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
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return cache


@pytest.fixture(autouse=True)
def _encoder_for_examples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples of the Python interface find the encoder that the tests use."""
    if isinstance(request.node, pytest.DoctestItem) and "api" in request.node.path.parts:
        cache: Path = request.getfixturevalue("encoder_cache")
        monkeypatch.setenv("ROUTER_ML_CACHE", str(cache))
