"""A run that Weights & Biases keeps offline: what it wrote holds parameters, metrics, reports."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from router_ml.integrations.wandb import log_run

PATIENCE_S = 60


def test_parameters_metrics_and_reports_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    report = tmp_path / "evaluation" / "evaluation.json"
    report.parent.mkdir()
    report.write_text("{}")
    run = log_run(
        project="routing",
        name="bundle 1",
        params={"train.dims": "256"},
        metrics={"evaluation/hull_gain": 0.02},
        files=[report, tmp_path / "missing.json"],
        folder=tmp_path,
    )
    assert run is not None
    [path] = tmp_path.rglob(f"*{run}.wandb")
    texts = ("routing", "bundle 1", "train.dims", "hull_gain", "evaluation/evaluation.json")
    # W&B's own process writes the file, and may still be at it when the run has ended.
    deadline = time.monotonic() + PATIENCE_S
    while not all(text.encode() in path.read_bytes() for text in texts):
        assert time.monotonic() < deadline, f"not all of {texts} in {path.read_bytes()[:200]!r}"
        time.sleep(0.1)
    written = path.read_bytes()
    assert b"missing.json" not in written


def test_without_the_package_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert log_run(project="p", name="n", params={}, metrics={}, folder=tmp_path) is None
