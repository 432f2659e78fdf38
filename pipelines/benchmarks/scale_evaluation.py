"""Gate, off-policy estimates and bootstrap over millions of scored requests: time and memory."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.benchmarks.platform import machine
from router_ml.errors import DataError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.streaming import compare_scored
from router_ml.types.arrays import FloatArray

SIZES: Final = (1_000_000, 3_000_000, 10_000_000)
N_CANDIDATES: Final = 4
PART: Final = 500_000
PROMPTS: Final = 0.3
"""Distinct prompts, as a share of requests."""
GAIN: Final = 0.01
"""True difference of quality of the generated policies."""


def run(
    out: Path,
    *,
    sizes: Sequence[int] = SIZES,
    folder: Path | None = None,
    random_state: int = 0,
    say: Callable[[str], None] = print,
) -> Path:
    """Generate a scored log of each size, judge it in a process of its own, write what it took.

    Scoring is not in it: predictions stand in the log.

    Parameters
    ----------
    out : JSON file
    sizes : rows
    folder : for the generated logs, which are removed; default: a temporary one
    """
    metrics: dict[str, dict[str, float]] = {}
    for n in sizes:
        scratch = Path(tempfile.mkdtemp(prefix="scored-", dir=folder))
        try:
            say(f"writing {n:,} scored requests …")
            write_scored(scratch, n, random_state=random_state)
            say(f"judging {n:,} requests …")
            metrics[f"{n // 1_000_000}m"] = measure(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    for (small, one), (large, other) in pairwise(metrics.items()):
        other["growth"] = other["cpu_s"] / one["cpu_s"]
        say(f"{small} to {large}: {other['growth']:.2f} times the processor time")
    results = {
        "workloads": {
            "scored log": {
                "methods": {
                    size: {name: _cell(value, size) for name, value in told.items()}
                    for size, told in metrics.items()
                }
            }
        },
        "machine": machine(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return out


def _cell(value: float, size: str) -> dict[str, float]:
    return {"value": value, "low": value, "high": value, "n": int(size[:-1]) * 1_000_000}


def write_scored(folder: Path, n: int, *, random_state: int = 0) -> None:
    """Write ``n`` scored requests in partitions; the challenger is better by ``GAIN``."""
    schema = pa.schema([
        ("group_id", pa.string()),
        ("action", pa.int8()),
        *((name, pa.float64()) for name in ("propensity", "label_prob", "quality", "cost_usd")),
        *((name, pa.list_(pa.float32(), N_CANDIDATES)) for name in
          ("new_probs", "old_probs", "predicted_quality", "predicted_cost_usd")),
    ])  # fmt: skip
    for part, begin in enumerate(range(0, n, PART)):
        rng = np.random.default_rng([random_state, part])
        table = _part(rng, min(PART, n - begin), max(int(n * PROMPTS), 1))
        pq.write_table(table.cast(schema), folder / f"part-{part:04d}.parquet")


def _part(rng: np.random.Generator, n: int, prompts: int) -> pa.Table:
    k, rows = N_CANDIDATES, np.arange(n)
    group = rng.integers(prompts, size=n)
    # Two policies that differ in a fifth of prompts, where the challenger's choice is better.
    first, moved = group % k, group % 5 == 0
    old = 0.9 * np.eye(k)[first] + 0.1 / k
    new = 0.9 * np.eye(k)[np.where(moved, (first + 1) % k, first)] + 0.1 / k
    action = (rng.random((n, 1)) > old.cumsum(axis=1)[:, :-1]).sum(axis=1)
    truth = 0.6 + 0.3 * ((group * 2_654_435_761) % 997 / 997.0)[:, None] * np.ones((1, k))
    truth[rows[moved], ((first + 1) % k)[moved]] += GAIN / 0.2 / 0.9
    quality = (rng.random(n) < truth[rows, action]).astype(float)
    quality[rng.random(n) < 0.5] = np.nan
    cost = 1e-4 * 3.0 ** np.arange(k)
    return pa.table({
        "group_id": pa.array(np.char.mod("%016x", group * 2_654_435_761)),
        "action": action.astype(np.int8),
        "propensity": old[rows, action],
        "label_prob": np.full(n, 0.5),
        "quality": pa.array(quality, from_pandas=True),
        "cost_usd": cost[action] * rng.uniform(0.5, 1.5, size=n),
        "new_probs": _lists(new),
        "old_probs": _lists(old),
        "predicted_quality": _lists(np.clip(truth + rng.normal(scale=0.1, size=(n, k)), 0.0, 1.0)),
        "predicted_cost_usd": _lists(np.tile(cost, (n, 1))),
    })  # fmt: skip


def _lists(values: FloatArray) -> pa.Array:
    flat = pa.array(values.astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def measure(folder: Path) -> dict[str, float]:
    """Seconds, processor seconds, peak megabytes and the estimates of one process."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.benchmarks.scale_evaluation", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DataError(f"judging failed in the benchmark: {done.stderr.strip()[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if not told["low"] < GAIN < told["high"]:
        raise DataError(f"the gate's bounds {told} do not hold the true difference {GAIN}")
    return told


def _judge(folder: Path) -> dict[str, Any]:
    begin, cpu = time.perf_counter(), time.process_time()
    found = compare_scored(folder)
    read_s = time.process_time() - cpu
    estimates = {player: found.estimates(player) for player in ("new", "old")}
    report = found.judge(Gate())
    quality = report.checks[0].estimate
    return {
        "seconds": time.perf_counter() - begin,
        "cpu_s": time.process_time() - cpu,
        "cpu_read_s": read_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "difference": quality.value,
        "low": quality.low,
        "high": quality.high,
        "dr_half_width": estimates["new"]["DR"].half_width,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_judge(Path(sys.argv[1]))) + "\n")
