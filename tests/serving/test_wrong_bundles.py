"""Bundles that verify and are wrong, and registries that are down: the service goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_ml.bundle.files import add_files
from router_ml.policies.constant import ConstantPolicy
from router_ml.runtime.probes import PROBES, Probes
from router_ml.runtime.probing import PROBE_QUERIES
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.hostile import hostile_bundle, sign
from tests.serving.conftest import serve, serving_process
from tests.serving.test_following import replace, until, version

PASSWORD = "hunter2"
LIMITS = {"load_timeout_s": 6, "load_memory_mb": 1_000, "poll_interval_s": 0.2}


def ready(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/readyz").json()
    return answer


def with_probes(folder: Path) -> None:
    probes = Probes.of(PROBE_QUERIES, Runtime.from_folder(folder).predict(PROBE_QUERIES))
    add_files(folder, {PROBES: probes.to_json()})


def test_no_wrong_graph_goes_live(tmp_path: Path) -> None:
    folder, log = tmp_path / "bundle", tmp_path / "log"
    first = make_bundle(folder).bundle_id
    with serve(log, bundle=folder, **LIMITS) as client:
        for kind, says in (
            ("nan", "must be finite"),
            ("range", r"in [0, 1]"),
            ("memory", "allocate memory"),
            ("endless", "within 6 s"),
        ):
            begun = len(log.read_text())
            hostile_bundle(tmp_path / kind, kind)
            replace(folder, tmp_path / kind)
            until(lambda begun=begun, says=says: says in log.read_text()[begun:])  # type: ignore[misc]
            for _ in range(20):  # requests do not wait for it
                started = time.monotonic()
                assert client.post("/v1/route", json={"query": "Mix."}).status_code == 200
                assert time.monotonic() - started < 2
            assert version(client) == first
            assert ready(client)["status"] == "degraded"
            assert str(tmp_path) not in client.get("/readyz").text


@pytest.mark.parametrize("kind", ["nan", "endless"])
def test_a_service_does_not_start_with_one(tmp_path: Path, kind: str) -> None:
    hostile_bundle(tmp_path / "bundle", kind)
    with (
        pytest.raises(RuntimeError, match="the service ended"),
        serve(tmp_path / "log", bundle=tmp_path / "bundle", load_timeout_s=5),
    ):
        pass
    assert "BundleError" in (tmp_path / "log").read_text()


def test_probes_show_a_graph_that_computes_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    make_bundle(folder)
    with_probes(folder)
    make_bundle(tmp_path / "other", random_state=1)
    with_probes(tmp_path / "other")
    with serve(tmp_path / "log", bundle=folder, poll_interval_s=0.2) as client:
        first = version(client)
        shutil.copy(folder / PROBES, tmp_path / "other" / PROBES)
        sign(tmp_path / "other")
        replace(folder, tmp_path / "other")
        until(lambda: "as at the export" in (tmp_path / "log").read_text())
        assert version(client) == first


class Registry:
    """A SQLite registry with one model."""

    def __init__(self, folder: Path) -> None:
        mlflow = pytest.importorskip("mlflow")
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.client = mlflow.tracking.MlflowClient(self.uri)
        self.client.create_registered_model("router")

    def register(self, candidate: str) -> str:
        source = self.folder / f"model-{candidate}-{time.monotonic_ns()}"
        make_bundle(source / "artifacts" / "bundle", policy=ConstantPolicy(candidate=candidate))
        found = self.client.create_model_version("router", source=source.as_uri())
        self.client.set_registered_model_alias("router", "champion", found.version)
        return str(found.version)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_damage_in_the_cache_and_a_registry_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, cache = Registry(tmp_path), tmp_path / "cache"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    options = {"bundle": "models:/router@champion", "cache_dir": cache, "poll_interval_s": 0.2}
    first = registry.register("candidate-1")
    with serve(tmp_path / "log", **options) as client:
        until(lambda: version(client) == first)
    # A cached file is damaged: it is fetched again.
    (graph,) = cache.rglob("router.onnx")
    graph.write_bytes(graph.read_bytes()[:-100])
    with serve(tmp_path / "log-2", **options) as client:
        until(lambda: version(client) == first)
        # Old versions are pruned.
        for number in range(6):
            newest = registry.register(f"candidate-{number % 3}")
            until(lambda newest=newest: version(client) == newest)  # type: ignore[misc]
        assert len(list(cache.glob("router-*"))) <= 4
    # The registry is down: the last good bundle starts the service.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ml:{PASSWORD}@127.0.0.1:9/secret-path")
    with serve(tmp_path / "log-3", **options) as client:
        until(lambda: version(client) == newest)
        assert client.post("/v1/route", json={"query": "Mix blue."}).status_code == 200
        text = client.get("/readyz").text
        assert ready(client)["status"] == "degraded"
        assert "unconfirmed" in text
        public = text + client.get("/metrics").text + client.get("/v1/router").text
    assert not [word for word in (PASSWORD, "127.0.0.1:9", "secret-path") if word in public]
    assert PASSWORD not in (tmp_path / "log-3").read_text()


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ml:{PASSWORD}@127.0.0.1:9/mlflow",
        f"mysql+pymysql://ml:{PASSWORD}@127.0.0.1:9/mlflow?password={PASSWORD}",
        f"http://ml:{PASSWORD}@127.0.0.1:9",
        "sqlite:////nowhere/secret-path/mlflow.db",
    ],
)
def test_what_everybody_may_read_holds_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    options = {"bundle": "models:/router@champion", "poll_interval_s": 0.2}
    with serve(tmp_path / "log", **options) as client:
        until(lambda: "registry" in client.get("/readyz").text)
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        public = response.text + client.get("/metrics").text
    for word in (PASSWORD, "127.0.0.1:9", "/nowhere", "SELECT", "secret-path"):
        assert word not in public
    assert PASSWORD not in (tmp_path / "log").read_text()


def test_a_watcher_that_is_killed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    options = {"bundle": "models:/router@champion", "poll_interval_s": 0.2}
    with serving_process(tmp_path / "log", **options) as (client, process):
        until(lambda: bool(children(process.pid)))
        (first,) = children(process.pid)
        subprocess.run(["kill", "-KILL", str(first)], check=True)
        until(lambda: bool(children(process.pid)) and children(process.pid) != [first])
        assert "ended with code -9" in (tmp_path / "log").read_text()
        assert client.get("/healthz").status_code == 200


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(n) for task in path.parents[1].iterdir() for n in _children_of(task)]
    return [n for n in found if b"registry_watch" in Path(f"/proc/{n}/cmdline").read_bytes()]


def _children_of(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def test_the_trial_says_what_is_wrong_as_json(tmp_path: Path) -> None:
    hostile_bundle(tmp_path / "bundle", "nan")
    command = [sys.executable, "-m", "serving.loading.trial", str(tmp_path / "bundle")]
    done = subprocess.run(
        [*command, "--memory-mb", "1000"], capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["kind"] == "BundleError"
    assert "quality must be finite" in report["error"]
