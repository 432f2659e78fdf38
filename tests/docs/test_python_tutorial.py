"""The tutorial's examples are doctests, on the shipped samples."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "learn-in-python.md"


@pytest.mark.filterwarnings(
    # As in pyproject.toml: MLflow asks SQLAlchemy for a loader strategy that is going away.
    "ignore:The ``noload`` loader strategy"
)
def test_the_tutorial(encoder_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_ML_CACHE", str(encoder_cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    failed, tried = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 25
    assert failed == 0
