"""Schedules of the loop: what Kubernetes accepts, a config that the loop takes, two DAGs."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipelines.loop.config import LoopConfig
from pipelines.loop.state import HELD
from pipelines.options import load_config
from tests.serving.conftest import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes-loop"
SCHEDULES = {
    "airflow": ROOT / "deploy" / "airflow" / "router_loop.py",
    "prefect": ROOT / "deploy" / "prefect" / "router_loop.py",
}


def cron_job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((KUBERNETES / "cronjob.yaml").read_text())
    return found


def test_kubernetes_accepts_it() -> None:
    kubernetes_validate.validate(cron_job(), "1.29", strict=True)


def test_every_file_is_part_of_it() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (config,) = kustomization["configMapGenerator"]
    named = {*kustomization["resources"], *config["files"], "kustomization.yaml"}
    assert {path.name for path in KUBERNETES.iterdir()} == named


def test_the_loop_takes_the_config_and_writes_where_it_may() -> None:
    config = load_config(LoopConfig, KUBERNETES / "loop.yaml")
    pod = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    for path in (config.output, config.cache, config.metrics_file):
        assert path is not None
        assert any(path.is_relative_to(mount) for mount in writable)
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= set(config.decisions)


def test_all_of_them_know_what_a_held_lease_exits_with() -> None:
    (rule,) = cron_job()["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [HELD]
    for path in SCHEDULES.values():
        constants = [
            node.value.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and getattr(node.targets[0], "id", "") == "HELD"
        ]
        assert constants == [HELD]


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_scheduler_itself_reads_it(name: str, tmp_path: Path) -> None:
    python = os.environ.get(f"ROUTER_ML_{name.upper()}_PYTHON")
    if not python:
        pytest.skip(f"ROUTER_ML_{name.upper()}_PYTHON names no Python that has {name}")
    environ = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-c", f"import runpy; runpy.run_path({str(SCHEDULES[name])!r})"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
