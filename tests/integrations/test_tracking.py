"""A run in Weights & Biases, by the page's command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bundles import make_bundle
from tests.integrations.test_peers import ROOT, python_of

PAGE = ROOT / "docs" / "integrations" / "tracking.md"


def test_the_pages_command_registers_and_writes_an_offline_run(tmp_path: Path) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("WANDB_MODE=offline router-ml register")]
    make_bundle(tmp_path / "runs" / "export" / "bundle")
    # Their packages after ours, as where both are installed.
    [packages] = python_of("peers").parents[1].glob("lib/python3*/site-packages")
    code = f"import sys; sys.path.append({str(packages)!r}); from pipelines.cli import main; main()"
    tool = tmp_path / "bin" / "router-ml"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    tool.chmod(0o755)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "registered as version 1" in done.stdout
    deadline = time.monotonic() + 60
    while not (found := list(tmp_path.rglob("*.wandb"))) or b"routing" not in found[0].read_bytes():
        assert time.monotonic() < deadline, done.stderr[-3_000:]
        time.sleep(0.1)
