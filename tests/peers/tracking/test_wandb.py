"""A run that Weights & Biases keeps offline: what it wrote holds parameters, metrics, reports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from router_ml.integrations.wandb import log_run


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
    written = path.read_bytes()
    for text in ("routing", "bundle 1", "train.dims", "hull_gain", "evaluation/evaluation.json"):
        assert text.encode() in written, text
    assert b"missing.json" not in written


def test_without_the_package_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert log_run(project="p", name="n", params={}, metrics={}, folder=tmp_path) is None
