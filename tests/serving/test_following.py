"""A running service follows its source, and keeps the old router when the new one is broken."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from router_ml.policies.constant import ConstantPolicy
from tests.bundles import make_bundle
from tests.serving.conftest import serve

INTERVAL = 0.2


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail("it did not happen in time")
        time.sleep(0.05)


def version(client: httpx.Client) -> str:
    response = client.get("/readyz")
    return str(response.json()["router"]["version"]) if response.status_code == 200 else ""


def replace(folder: Path, new: Path) -> None:
    """Put the files of one bundle into the folder of another, the manifest last."""
    for path in sorted(new.iterdir(), key=lambda p: p.name == "manifest.json"):
        path.replace(folder / path.name)


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    first = make_bundle(folder).bundle_id
    with serve(tmp_path / "log", bundle=folder, poll_interval_s=INTERVAL) as client:
        assert version(client) == first
        second = make_bundle(tmp_path / "second", random_state=1).bundle_id
        replace(folder, tmp_path / "second")
        until(lambda: version(client) == second)
        make_bundle(tmp_path / "third", random_state=2)
        (tmp_path / "third" / "router.onnx").write_bytes(b"changed")
        replace(folder, tmp_path / "third")
        until(lambda: client.get("/readyz").json()["reload_error"] is not None)
        assert "SHA-256" in client.get("/readyz").json()["reload_error"]
        assert version(client) == second
        assert "router_reload_failing 1.0" in client.get("/metrics").text
        assert client.post("/v1/route", json={"query": "Mix blue."}).status_code == 200


def test_overrides(tmp_path: Path, bundle: Path) -> None:
    policy, prices = tmp_path / "policy.json", tmp_path / "prices.json"
    policy.write_text('{"name": "constant", "candidate": "candidate-2"}')
    prices.write_text((bundle / "prices.json").read_text().replace("0.1,", "50.0,"))
    options = {"bundle": bundle, "policy_file": policy, "prices_file": prices}
    with serve(tmp_path / "log", **options) as client:
        assert client.post("/v1/route", json={"query": "a"}).json()["candidate"] == "candidate-2"
        info = client.get("/v1/router").json()
        assert info["override_digest"]
        assert info["candidates"][0]["input_usd_per_mtok"] == 50.0


# MLflow's queries use a loader option that SQLAlchemy 2.1 calls deprecated.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_registry_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real SQLite registry: wait for the alias, follow it, survive a broken version."""
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client_of = mlflow.tracking.MlflowClient(uri)
    client_of.create_registered_model("router")

    def register(candidate: str, *, broken: bool = False) -> str:
        source = tmp_path / f"model-{candidate}-{broken}"
        make_bundle(source / "artifacts" / "bundle", policy=ConstantPolicy(candidate=candidate))
        if broken:
            (source / "artifacts" / "bundle" / "router.onnx").write_bytes(b"broken")
        found = client_of.create_model_version("router", source=source.as_uri())
        client_of.set_registered_model_alias("router", "champion", found.version)
        return str(found.version)

    settings = {"bundle": "models:/router@champion", "poll_interval_s": INTERVAL}
    with serve(tmp_path / "log", **settings) as client:
        refused = client.post("/v1/route", json={"query": "Mix blue."})
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.get("/readyz").status_code == 503
        first = register("candidate-1")
        until(lambda: version(client) == first)
        route = client.post("/v1/route", json={"query": "Mix blue."}).json()
        assert route["router"] == {"name": "router", "version": first}
        assert route["candidate"] == "candidate-1"
        second = register("candidate-2")
        until(lambda: version(client) == second)
        assert client.post("/v1/route", json={"query": "a"}).json()["candidate"] == "candidate-2"
        third = register("candidate-0", broken=True)
        until(lambda: client.get("/readyz").json()["reload_error"] is not None)
        assert f"version {third} of router" in client.get("/readyz").json()["reload_error"]
        assert version(client) == second
        client_of.set_registered_model_alias("router", "champion", first)
        until(lambda: version(client) == first)
        assert client.get("/readyz").json()["reload_error"] is None
        shutil.rmtree(tmp_path / "model-candidate-1-False")  # what is loaded needs no registry
        assert client.post("/v1/route", json={"query": "a"}).status_code == 200
