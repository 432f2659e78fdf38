"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router_ml.data.synthetic_log import write_world

REPOSITORY = Path(__file__).parents[1]


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
