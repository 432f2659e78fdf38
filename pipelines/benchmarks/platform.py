"""``make bench``: the join, training and serving, each measured in one run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pipelines.benchmarks import join as join_benchmark
from pipelines.benchmarks.serve import benchmark_serve, prompt_bodies
from pipelines.console import console, print_table
from router_ml.errors import ConfigError

PARTS: Final = ("join", "train", "serve")


def run(out: Path, *, data: Path | None, parts: tuple[str, ...] = PARTS) -> Path:
    """Measure the named parts and write them to ``out``; parts measured before are kept.

    Parameters
    ----------
    out : JSON file
    data : folder of real data, for the prompts of the serving part; ``None`` = synthetic prompts
    parts : of ``PARTS``
    """
    if unknown := set(parts) - set(PARTS):
        raise ConfigError(f"parts must be of {PARTS}, got {sorted(unknown)}")
    results: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {}
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "join": join_benchmark.benchmark,
        "train": _train,
        "serve": lambda: _serve(data),
    }
    for part in parts:
        console.print(f"measuring {part} …")
        results[part] = measures[part]()
        results["machine"] = machine()
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1), encoding="utf-8")
        rows = [(key, f"{value:,.3g}") for key, value in results[part].items()]
        print_table(part, ("measure", "reached"), rows)
    return out


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _train() -> dict[str, float]:
    """In its own process, so that peak memory is the job's own."""
    command = [sys.executable, "-m", "pipelines.benchmarks.train"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _serve(data: Path | None) -> dict[str, float]:
    from pipelines.benchmarks.train import bundle_and_log

    with tempfile.TemporaryDirectory() as folder:
        bundle, log = bundle_and_log(Path(folder), data)
        return asdict(benchmark_serve(bundle, bodies=prompt_bodies(log), progress=console.print))
