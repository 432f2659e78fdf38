"""The command line loads no training library: `gateway` runs beside LiteLLM, without them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.architecture.test_serving_imports import FORBIDDEN

SCRIPT = """
import json, sys
import pipelines.cli
from router_ml.integrations.litellm import catalogue, proxy_config
print(json.dumps(sorted(sys.modules)))
"""
OURS = ("pipelines", "router_ml.")


def test_the_command_line_and_the_gateway_need_no_training_library() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    theirs = {name for name in FORBIDDEN if not name.startswith(OURS)}
    assert not theirs & set(json.loads(done.stdout))
