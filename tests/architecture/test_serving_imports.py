"""Serving starts without the training stack: checked in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bundles import make_bundle

FORBIDDEN = {
    "torch",
    "pandas",
    "lightgbm",
    "sklearn",
    "scipy",
    "onnx",
    "pyarrow",
    "duckdb",
    "sentence_transformers",
    "mlflow",
    "sqlalchemy",
    "pipelines",
    "router_ml.estimators",
    "router_ml.evaluation",
    "router_ml.export",
}
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from serving.app import create_app
from serving.http.call import Call
from serving.settings import Settings

service = create_app(Settings(bundle=sys.argv[1])).state.service
service.start()
answer = asyncio.run(service.route(Call(b'{"query": "Mix blue and yellow paint."}')))
asyncio.run(service.close())
print(json.dumps([json.loads(answer)["candidate"], sorted(sys.modules)]))
"""


def test_a_served_decision_needs_no_training_library(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "bundle")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    candidate, modules = json.loads(done.stdout)
    assert candidate.startswith("candidate-")
    assert "onnxruntime" in modules
    assert not FORBIDDEN & set(modules)
