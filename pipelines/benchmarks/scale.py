"""How the join grows: seconds, processor time and memory over sizes, by engine and by step."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import numpy as np
import orjson
import psutil

from pipelines.benchmarks.join import write_log
from pipelines.benchmarks.platform import machine
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.trials import mean_of_trials
from pipelines.config import JoinConfig, dump_config
from pipelines.stages.join import load_steps
from router_ml.errors import DataError

SIZES: Final = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
SAMPLED_EVERY_S: Final = 0.1
STEP: Final = "step_"
LEAST_SHARE: Final = 0.02
"""Steps that take less of the time are not told."""
_CHILD: Final = """
import json, sys, time
from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
seen = []
run(load_config(JoinConfig, sys.argv[1]),
    progress=lambda task, share: seen.append((task, share, time.time(), time.process_time())))
print(json.dumps(seen))
"""


def run(
    out: Path,
    *,
    sizes: Sequence[int] = SIZES,
    engine: Literal["duckdb", "spark"] = "duckdb",
    repeats: int = 3,
    memory_limit_mb: int = 2_000,
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Generate a log of each size, join it, and write what it took; other sizes in ``out`` stay.

    Every run is a process of its own. Sizes above ten million are run once.

    Parameters
    ----------
    out : JSON file
    sizes : requests
    engine : ``duckdb`` or ``spark``
    repeats : runs of each size
    memory_limit_mb : of the engine
    folder : where logs are generated, about 150 MB a million requests; default: a temporary one
    """
    results = read_results(out)
    workloads = results["workloads"]
    for n in sizes:
        place = Path(tempfile.mkdtemp(prefix="scale-", dir=folder))
        try:
            config = write_log(place, n=n)
            config = replace(config, engine=engine, memory_limit_mb=memory_limit_mb)
            times = repeats if n <= 10_000_000 else 1
            runs = [measure(config, place) for _ in range(times)]
        finally:
            shutil.rmtree(place, ignore_errors=True)
        methods = workloads.setdefault(f"join-{n}", {"methods": {}})["methods"]
        means = {name: mean_of_trials(np.array([run[name] for run in runs])) for name in runs[0]}
        methods[f"{engine}-{memory_limit_mb}mb"] = {
            name: asdict(mean)
            for name, mean in means.items()
            if not name.startswith(STEP) or mean.value > LEAST_SHARE * means["seconds"].value
        }
        results["machine"] = machine()
        write_results(out, results)
        last = runs[-1]
        say(
            f"{n:,} requests on {engine}: {last['seconds']:.0f} s, {last['processor_s']:.0f} s of "
            f"processors, {last['peak_mb']:,.0f} MB"
        )
    return out


def measure(config: JoinConfig, folder: Path) -> dict[str, float]:
    """One join in a process of its own: wall clock, processor time, peak memory, steps.

    Memory and processor time are of the process and its children (Spark's Java is one), sampled.
    """
    dump_config(config, folder / "scale.yaml")
    shutil.rmtree(config.output, ignore_errors=True)
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder / "scale.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    family = _Family(child.pid)
    said, errors = child.communicate()
    seconds = time.perf_counter() - begin
    if child.returncode:
        raise DataError(f"the join failed in the benchmark: {errors.strip()[-2000:]}")
    check_accounts(config)
    seen = orjson.loads(said.splitlines()[-1])
    return {
        "seconds": seconds,
        "processor_s": family.processor_s,
        "peak_mb": family.peak_mb,
        "outcomes_mb": (config.output / "outcomes.parquet").stat().st_size / 2**20,
    } | _steps(seen)


def check_accounts(config: JoinConfig) -> None:
    """DataError unless the join found what the generator put wrong."""
    report = orjson.loads((config.output / "report.json").read_bytes())
    account = report["accounting"]["requests"]
    if not account["rejected"].get("negative_tokens") or not account["collapsed"].get("duplicate"):
        raise DataError(f"the join found none of the bad rows that the benchmark made: {account}")


def _steps(seen: Sequence[tuple[str, float, float, float]]) -> dict[str, float]:
    """Seconds of every step, from when each began."""
    names = [step.name for step in load_steps()]
    begins = [(share, at) for task, share, at, _ in seen if task == "joining"]
    took: dict[str, float] = {}
    for (share, begin), (_, end) in pairwise(begins):
        took[names[round(share * len(names))]] = end - begin
    return {f"{STEP}{name}_s": seconds for name, seconds in took.items()}


class _Family:
    """Largest resident megabytes, and processor seconds, of a process with its children."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._used: dict[int, float] = {}
        self._process = psutil.Process(pid)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def processor_s(self) -> float:
        """User and system time of all that were seen, ended or not."""
        return sum(self._used.values())

    def _watch(self) -> None:
        while True:
            try:
                resident = 0
                for member in (self._process, *self._process.children(recursive=True)):
                    with member.oneshot():
                        resident += member.memory_info().rss
                        times = member.cpu_times()
                    self._used[member.pid] = times.user + times.system
            except psutil.Error:
                if not self._process.is_running():
                    return
            self.peak_mb = max(self.peak_mb, resident / 2**20)
            time.sleep(SAMPLED_EVERY_S)
