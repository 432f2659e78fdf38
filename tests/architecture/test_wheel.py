"""What is shipped: a built wheel, installed into a clean environment, has the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_runs_the_command_line_and_holds_no_benchmark(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a build leaves files behind
    for package in ("router_ml", "pipelines", "serving"):
        shutil.copytree(ROOT / package, source / package)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip"]
    wheels = tmp_path / "wheels"
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("router_ml-*.whl")
    # A clean environment, whose dependencies are those of the one that runs the tests: a path in a
    # .pth file brings the packages there, and not its own .pth files, such as an editable install.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python3*")) / "site-packages"
    subprocess.run([*pip, "--python", python, "install", "-q", "--no-deps", wheel], check=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "venv" / "bin" / "router-ml"), *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )

    assert "evaluate" in call().stdout
    assert "folder that ``join`` wrote" in " ".join(call("train", "--help").stdout.split())
    refused = call("benchmark", "quality")
    assert refused.returncode == 2
    assert "not part of the installed package" in " ".join(refused.stdout.split())
    shipped = [path.relative_to(site).as_posix() for path in site.rglob("*")]
    assert "pipelines/join/sql/join.sql" in shipped
    assert not [name for name in shipped if "benchmarks" in name]
