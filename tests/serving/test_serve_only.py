"""An environment with ``[serve]`` alone can serve, from a folder and from a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles import make_bundle

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, importlib.util, json, sys
from serving.app import create_app
from serving.http.call import Call
from serving.settings import Settings

absent = ("torch", "pandas", "lightgbm", "sklearn", "onnx", "pyarrow", "duckdb")
assert not [name for name in absent if importlib.util.find_spec(name)]
service = create_app(Settings(bundle=sys.argv[1])).state.service
service.start()
print(json.loads(asyncio.run(service.route(Call(b'{"query": "Mix blue."}'))))["candidate"])
asyncio.run(service.close())
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # as in test_following
def test_serve_only(tmp_path: Path) -> None:
    import mlflow

    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    source = tmp_path / "source"  # a build leaves files behind
    for package in ("router_ml", "pipelines", "serving"):
        shutil.copytree(ROOT / package, source / package)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    (source / "README.md").touch()
    subprocess.run([*install, f"{source}[serve]"], check=True)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    make_bundle(tmp_path / "model" / "artifacts" / "bundle")
    bundle = tmp_path / "model" / "artifacts" / "bundle"
    command = [python, "-c", SCRIPT, str(bundle)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("candidate-")

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.tracking.MlflowClient(uri)
    client.create_registered_model("router")
    client.create_model_version("router", source=(tmp_path / "model").as_uri())
    watch = [python, "-m", "serving.loading.registry_watch", "models:/router/1", "--interval", "1"]
    done = subprocess.run(
        [*watch, "--cache", str(tmp_path / "cache")],
        cwd=tmp_path,
        env=environ | {"MLFLOW_TRACKING_URI": uri},
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert '"version": "1"' in done.stdout
