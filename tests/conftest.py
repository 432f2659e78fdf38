"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from router_ml.data.synthetic_log import write_world

REPOSITORY = Path(__file__).parents[1]


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


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Request log, labels, prices and truth of a small synthetic world."""
    folder = tmp_path_factory.mktemp("world")
    return write_world(folder, n_queries=500, n_requests=2_500, n_candidates=4, random_state=3)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped without it."""
    folder = os.environ.get("ROUTER_ML_DATA")
    if not folder:
        pytest.skip("ROUTER_ML_DATA is not set: no real data")
    return Path(folder)
