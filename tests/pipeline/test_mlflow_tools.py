"""A router in MLflow as others use it: compared, predicted with, evaluated and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import router_ml as rm
from tests.promotion_world import MLFLOW_WARNINGS, sqlite_store
from tests.serving.redis_server import free_port

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings(*MLFLOW_WARNINGS)
REPOSITORY = Path(__file__).parents[2]
QUERIES = ["How does dough rise?", "Prove it rigorously, with every edge case."]
PATIENCE_S = 120


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[rm.Router, rm.Registered]]:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", sqlite_store(folder))
        mlflow.set_tracking_uri(None)
        router = rm.fit(rm.sample_log(), estimator="linear", policy=rm.CostAware(cost_weight=60.0))
        yield router, router.log_to_mlflow(register=True)
        mlflow.set_tracking_uri(None)


def test_versions_compare_by_one_headline(recorded: tuple[rm.Router, rm.Registered]) -> None:
    _, registered = recorded
    run = mlflow.get_run(registered.run_id)
    metrics = run.data.metrics
    for name in ("hull_gain", "quality_at_todays_cost", "quality"):
        low, value, high = (metrics[f"headline/{name}{end}"] for end in ("_low", "", "_high"))
        assert low <= value <= high
    assert run.info.run_name.startswith("linear, 419 labels, ")
    assert "Today: quality" in run.data.tags["verdict"]
    client = mlflow.tracking.MlflowClient()
    version = client.get_model_version("router", registered.version)
    assert "| hull_gain |" in version.description
    assert float(version.tags["hull_gain"]) == pytest.approx(
        metrics["headline/hull_gain"], abs=1e-3
    )
    model = client.get_logged_model(registered.model_uri.removeprefix("models:/"))
    assert set(metrics) == {metric.key for metric in model.metrics}
    paths = {file.path for file in client.list_artifacts(registered.run_id)}
    assert "report.html" in paths
    paths = {file.path for file in client.list_artifacts(registered.run_id, "evaluation")}
    assert {"evaluation/cost_quality.png", "evaluation/reliability.png"} <= paths


def test_predict_and_evaluate_give_the_routers_decisions(
    recorded: tuple[rm.Router, rm.Registered], tmp_path: Path
) -> None:
    router, registered = recorded
    expected = [router.route(query).candidate for query in QUERIES]
    out = tmp_path / "decisions.json"
    mlflow.models.predict(
        registered.model_uri,
        input_data=pd.DataFrame({"query": QUERIES}),
        env_manager="local",
        output_path=str(out),
    )
    rows = json.loads(out.read_text())["predictions"]
    assert [row["candidate"] for row in rows] == expected

    metric = mlflow.models.make_metric(
        eval_fn=lambda predictions: float(predictions.mean()),
        greater_is_better=True,
        name="predicted_quality",
    )
    with mlflow.start_run():
        result = mlflow.models.evaluate(
            registered.model_uri,
            pd.DataFrame({"query": QUERIES}),
            predictions="quality",
            extra_metrics=[metric],
        )
    wanted = np.mean([router.route(query).ranking[0].quality for query in QUERIES])
    assert result.metrics["predicted_quality"] == pytest.approx(wanted)


def test_models_serve_answers(recorded: tuple[rm.Router, rm.Registered]) -> None:
    router, registered = recorded
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", registered.model_uri,
               "-p", str(port), "-h", "127.0.0.1", "--env-manager", "local"]  # fmt: skip
    # MLflow starts uvicorn by its name, as in an environment that is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command,
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", process)
        body = {"dataframe_records": [{"query": query} for query in QUERIES]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            rows = json.load(answer)["predictions"]
    finally:
        process.terminate()
        process.wait(30)
    assert [row["candidate"] for row in rows] == [
        router.route(query).candidate for query in QUERIES
    ]


@pytest.mark.slow
def test_the_project_goes_from_an_export_to_a_champion(
    encoder_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow run` of the whole chain: a mapping of other names, a matrix, and an override."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    monkeypatch.setenv("ROUTER_ML_RUN_CACHE", str(encoder_cache))
    # set_experiment of an earlier test names one of its own store to every process started later
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    mapping = tmp_path / "mapping.yaml"
    told = yaml.safe_load(rm.inspect(*map(rm.sample, ("export.csv", "thumbs.csv", "prices.csv"))))
    mapping.write_text(yaml.safe_dump({**told, "train": {"quality": {"name": "linear"}}}))
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        [
            str(scripts / "mlflow"), "run", str(REPOSITORY), "--env-manager", "local",
            "-P", f"mapping={mapping}",
            "-P", f"matrix={rm.sample('matrix.parquet')}",
            "-P", f"output={tmp_path / 'run'}",
            "-P", "override_by=Ada Lovelace",
            "-P", "override_reason=a first version, watched",
        ],
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    version = mlflow.tracking.MlflowClient().get_model_version_by_alias("router", "champion")
    assert str(version.version) == "1"
    evaluation = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert evaluation["kind"] == "full_information"


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    pytest.fail(f"no answer from {url} within {PATIENCE_S} s")
