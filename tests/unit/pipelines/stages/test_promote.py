"""Aliases, tags and the champions' stack on a real SQLite registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import PromoteConfig, RegisterConfig
from pipelines.registry.versions import download_bundle
from pipelines.stages import promote, register
from router_ml.bundle.files import read_bundle
from router_ml.errors import ConfigError, RegistryError, SchemaError
from tests.promotion_world import MLFLOW_WARNINGS, exported, sqlite_store, write_matrix

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings(*MLFLOW_WARNINGS)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    mlflow.set_tracking_uri(None)
    return tmp_path


def aliases() -> dict[str, str]:
    found = mlflow.tracking.MlflowClient().get_registered_model("router").aliases
    return {alias: str(version) for alias, version in found.items()}


def add(folder: Path, policy: str, **options: Any) -> str:
    return register.run(RegisterConfig(bundle=exported(folder, policy, **options)))


def test_the_life_of_three_versions(store: Path) -> None:
    matrix = write_matrix(store / "matrix.parquet")
    config = PromoteConfig(matrix=matrix, max_p50_ms=1e3, max_p99_ms=1e3)
    assert add(store / "a", "candidate-2") == "1"
    assert aliases() == {"challenger": "1"}
    # Nothing is cheaper than the best constant if that is candidate-1: quality equal, cost three
    # times; so the first champion needs a name.
    refused = promote.run(config)
    assert not refused.promoted
    assert refused.champion == "constant candidate-1"
    assert aliases() == {"challenger": "1"}
    first = promote.run(
        PromoteConfig(
            matrix=matrix,
            override_by="Ada",
            override_reason="a champion to start from",
            max_p50_ms=1e3,
            max_p99_ms=1e3,
        )
    )
    assert first.promoted
    assert not first.passed
    assert aliases() == {"champion": "1"}
    tags = mlflow.tracking.MlflowClient().get_model_version("router", "1").tags
    assert (tags["override_by"], tags["gate_passed"]) == ("Ada", "false")

    assert add(store / "b", "candidate-1") == "2"
    second = promote.run(config)
    assert second.passed
    assert second.promoted
    assert aliases() == {"champion": "2"}
    assert json.loads(mlflow.tracking.MlflowClient().get_model_version("router", "2").tags["gate"])[
        "passed"
    ]

    assert add(store / "c", "candidate-0") == "3"
    third = promote.run(config)
    assert not third.promoted
    assert "quality difference" in third.text
    assert aliases() == {"champion": "2", "challenger": "3"}

    assert promote.rollback(by="Ada", reason="complaints") == "1"
    assert aliases() == {"champion": "1", "challenger": "3"}
    fallen = mlflow.tracking.MlflowClient().get_model_version("router", "2").tags
    assert fallen["rolled_back_by"] == "Ada"
    with pytest.raises(RegistryError, match="no former champion"):
        promote.rollback()


def test_a_refused_gate_says_what_data_it_would_need(store: Path) -> None:
    small = write_matrix(store / "matrix.parquet", n=300)
    add(store / "a", "candidate-2")
    promote.run(PromoteConfig(matrix=small, override_by="Ada", override_reason="a test"))
    add(store / "b", "candidate-1")
    report = promote.run(PromoteConfig(matrix=small))
    assert not report.promoted
    assert report.gate.required_rows > 300
    assert "collect more labels" in report.text


def test_looks_are_counted_per_champion_and_the_same_question_is_one(store: Path) -> None:
    config = PromoteConfig(matrix=write_matrix(store / "matrix.parquet", n=200))
    add(store / "a", "candidate-2")
    assert promote.run(config).look == 1
    assert promote.run(config).look == 1
    with pytest.raises(SchemaError):
        promote.run(replace(config, matrix=store / "mistyped.parquet"))
    assert promote.run(replace(config, margin=0.02)).look == 2  # not by the failure before
    add(store / "b", "candidate-0")
    assert promote.run(config).look == 3
    promote.run(PromoteConfig(matrix=config.matrix, override_by="Ada", override_reason="a test"))
    add(store / "c", "candidate-1")
    assert promote.run(config).look == 1


@pytest.mark.parametrize("damage", ["error", "absent", "other"])
def test_no_promotion_without_proof_of_parity(store: Path, damage: str) -> None:
    matrix = write_matrix(store / "matrix.parquet")
    add(store / "a", "candidate-2")
    promote.run(PromoteConfig(matrix=matrix, override_by="Ada", override_reason="a test"))
    bundle = exported(store / "b", "candidate-1", max_error=1e-2 if damage == "error" else 1e-6)
    if damage == "absent":
        (bundle.parent / "parity.json").unlink()
    if damage == "other":
        bundle = exported(store / "other", "candidate-1", random_state=1)
        (bundle.parent / "parity.json").write_bytes((store / "b/parity.json").read_bytes())
    register.run(RegisterConfig(bundle=bundle))
    report = promote.run(PromoteConfig(matrix=matrix, max_p50_ms=1e3, max_p99_ms=1e3))
    assert report.gate.passed
    assert [c.name for c in report.conditions if not c.passed] == ["parity"]
    assert not report.promoted


def test_a_slow_router_is_not_promoted(store: Path) -> None:
    add(store / "a", "candidate-2")
    matrix = write_matrix(store / "matrix.parquet", n=100)
    report = promote.run(PromoteConfig(matrix=matrix, max_p50_ms=1e-6))
    assert [c.name for c in report.conditions if not c.passed] == ["latency"]


def test_aliases_moved_by_hand_count_as_reigns(store: Path) -> None:
    add(store / "a", "candidate-1")
    add(store / "b", "candidate-2")
    client = mlflow.tracking.MlflowClient()
    matrix = write_matrix(store / "matrix.parquet", n=100)
    client.set_registered_model_alias("router", "champion", "1")
    promote.run(PromoteConfig(matrix=matrix, override_by="Ada", override_reason="a test"))
    assert aliases()["champion"] == "2"
    assert promote.rollback() == "1"


def test_the_fetched_bundle_is_the_registered_one(store: Path) -> None:
    bundle = exported(store / "a", "candidate-1")
    version = register.run(RegisterConfig(bundle=bundle))
    fetched = download_bundle("router", version, store / "fetched")
    assert read_bundle(fetched).manifest == read_bundle(bundle).manifest


def test_clear_errors(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RegistryError, match="router"):
        promote.run(PromoteConfig())
    add(store / "a", "candidate-1")
    client = mlflow.tracking.MlflowClient()
    client.delete_registered_model_alias("router", "challenger")
    with pytest.raises(RegistryError, match="alias challenger"):
        promote.run(PromoteConfig())
    client.set_registered_model_alias("router", "champion", "1")
    with pytest.raises(RegistryError, match="champion already"):
        promote.run(PromoteConfig(version=1))
    with pytest.raises(ConfigError, match="both override_by"):
        PromoteConfig(override_by="Ada")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/no/such/folder/mlflow.db")
    with pytest.raises(RegistryError, match="cannot"):
        promote.rollback()
