"""What a run records, read back from a real SQLite store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import RegisterConfig
from pipelines.registry import tracking
from router_ml.errors import BundleError, ConfigError
from router_ml.features.query import parse_query
from router_ml.runtime.runtime import Runtime
from tests.promotion_world import (
    MLFLOW_WARNINGS,
    exported,
    sqlite_store,
    write_joined,
    write_matrix,
)

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings(*MLFLOW_WARNINGS)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    mlflow.set_tracking_uri(None)
    return tmp_path


@pytest.fixture
def config(store: Path) -> RegisterConfig:
    evaluation = store / "evaluation"
    evaluation.mkdir()
    cell = {"value": 0.9, "low": 0.88, "high": 0.92, "n": 100}
    report = {"rows": 100, "policies": {"router at 5% of its cost": {"quality": cell}}}
    (evaluation / "evaluation.json").write_text(json.dumps(report))
    (evaluation / "cost_quality.png").write_bytes(b"a figure")
    return RegisterConfig(
        bundle=exported(store / "export", "candidate-1"),
        joined=write_joined(store / "log", n=300),
        evaluation=evaluation,
        matrix=write_matrix(store / "matrix.parquet", n=20),
    )


def test_a_run_says_how_the_bundle_was_made(config: RegisterConfig, store: Path) -> None:
    logged = tracking.log_training_run(config)
    run = mlflow.get_run(logged.run_id)
    assert run.data.params["joined.test_share"] == "0.2"
    assert run.data.params["register.name"] == "router"
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert run.data.metrics["parity/max_error/quality"] == 1e-6
    name = "evaluation/policies/router at 5 percent of its cost/quality"
    assert [run.data.metrics[name + end] for end in ("", "/low", "/high")] == [0.9, 0.88, 0.92]
    assert config.joined is not None
    digests = {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs}
    assert digests == {
        "outcomes": tracking.file_digest(config.joined / "outcomes.parquet"),
        "prices": tracking.file_digest(config.joined / "prices.parquet"),
        "matrix": tracking.file_digest(store / "matrix.parquet"),
    }
    client = mlflow.tracking.MlflowClient()
    paths = {
        file.path
        for folder in ("joined", "evaluation", "export", "register")
        for file in client.list_artifacts(logged.run_id, folder)
    }
    assert {
        "joined/config.yaml",
        "evaluation/evaluation.json",
        "evaluation/cost_quality.png",
        "export/parity.json",
        "register/config.yaml",
    } <= paths
    assert (store / "mlartifacts").is_dir()


def test_the_logged_model_decides_as_the_runtime_does(config: RegisterConfig) -> None:
    logged = tracking.log_training_run(RegisterConfig(bundle=config.bundle))
    model = mlflow.pyfunc.load_model(logged.model_uri)
    tools = json.dumps([{"name": "paint", "description": "mixes colours"}])
    asked = pd.DataFrame({"query": ["Mix blue and yellow", "Prove it"], "tools": [tools, None]})
    answers = model.predict(asked)
    runtime = Runtime.from_folder(config.bundle)
    decision = runtime.decide(parse_query("Prove it"))
    line = answers.iloc[1]
    assert line["candidate"] == decision.candidate
    assert line["quality"] == pytest.approx(decision.ranking[0].quality)
    assert line["propensity"] == 1.0
    assert list(model.predict(pd.DataFrame({"query": ["Hello"]}))["candidate"]) == ["candidate-1"]


def test_a_run_started_by_someone_else_is_used(
    config: RegisterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mlflow.tracking.MlflowClient()
    run = client.create_run(client.create_experiment("elsewhere"))
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    assert tracking.log_training_run(RegisterConfig(bundle=config.bundle)).run_id == run.info.run_id


def test_wrong_folders_are_refused(config: RegisterConfig, store: Path) -> None:
    with pytest.raises(ConfigError, match="trained must be a folder"):
        tracking.log_training_run(RegisterConfig(bundle=config.bundle, trained=store / "none"))
    with pytest.raises(BundleError):
        tracking.log_training_run(RegisterConfig(bundle=store))
