"""Does the closed loop find its way back? Simulations through the real service, several seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from scipy.stats import t as student

from pipelines.benchmarks.trials import share_of_trials
from pipelines.simulation import simulate
from pipelines.simulation.config import SimulateConfig
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
FIRST_SEED: Final = 6
"""Defaults of the simulation were chosen on earlier seeds, which are not reported."""
_SHARES: Final = ("recovered", "returned")


def loop_trials(
    name: str,
    data: Path | None,
    *,
    n_loops: int,
    progress: Progress,
    config: SimulateConfig | None = None,
) -> dict[str, Estimate]:
    """Play the default simulation ``n_loops`` times.

    Parameters
    ----------
    name : of the workload, for people
    data : folder with ``matrix.parquet`` and ``prices.json``; ``None`` = synthetic worlds, another
        one each time
    n_loops : seeds, from :data:`FIRST_SEED` on
    config : what to play instead of the defaults; its data, output and seed are set here

    Returns
    -------
    Means over seeds with t intervals of what
    :meth:`pipelines.simulation.ledger.Ledger.summary` gives; of ``recovered`` and ``returned``, the
    share of seeds
    """
    played = SimulateConfig() if config is None else config
    rows = []
    for seed in progress(range(FIRST_SEED, FIRST_SEED + n_loops), f"{name}: closed loop"):
        with tempfile.TemporaryDirectory(prefix="loop-") as folder:
            output = simulate.run(
                replace(played, data=data, output=Path(folder) / "run", random_state=seed)
            )
            rows.append(orjson.loads((output / simulate.RESULT).read_bytes())["summary"])
    return summarise(rows)


def summarise(rows: Sequence[dict[str, float]]) -> dict[str, Estimate]:
    """One estimate a metric over seeds."""
    found = {}
    for metric in rows[0]:
        values = np.array([row[metric] for row in rows])
        found[metric] = share_of_trials(values == 1.0) if metric in _SHARES else _mean(values)
    return found


def _mean(values: FloatArray) -> Estimate:
    """Mean and 95 % t interval of a few independent runs; of one run, the value alone."""
    n, mean = len(values), float(values.mean())
    if n == 1:
        return Estimate(mean, mean, mean, 1)
    reach = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - reach, mean + reach, n)
