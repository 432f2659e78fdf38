"""Does the loop find its way back? Simulations through the real service, several seeds.

One simulation takes minutes, so each is kept as soon as it is played: a run that is cut off goes on
with the next seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.trials import mean_of_trials, share_of_trials
from pipelines.simulation import simulate
from pipelines.simulation.config import SimulateConfig
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

Progress = Callable[[Iterable[int], str], Iterable[int]]
METHOD: Final = "loop"
SOON: Final = (500, 1_000)
"""Requests within which recoveries are counted."""
_PREFIXES: Final = ("", "utility_")
_SHARES: Final = ("returned", *(f"{prefix}recovered" for prefix in _PREFIXES))


def run(
    data: Path | None,
    out: Path,
    *,
    worlds: Sequence[str],
    seeds: Iterable[int],
    cache: Path,
    progress: Progress = lambda steps, _: steps,
) -> Path:
    """Play the default simulation in every world with every seed; what was played already is kept.

    Parameters
    ----------
    data : folder of shared data, with a folder for every world but ``synthetic``
    out : JSON file: ``workloads.<world>.methods.loop.<metric>`` over all seeds in it, and
        ``runs.<world>.<seed>``
    worlds : ``synthetic``, another one for each seed, or folders of ``data`` with a matrix
    cache : folder for encoders

    Returns
    -------
    ``out``
    """
    results: dict[str, Any] = orjson.loads(out.read_bytes()) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    names = list(worlds)
    for seed in progress(list(seeds), "closed loop"):
        for name in names:
            played = results.setdefault("runs", {}).setdefault(name, {})
            if str(seed) not in played:
                folder = None if name == "synthetic" or data is None else data / name
                played[str(seed)] = play(folder, seed, cache=cache)
            methods = results.setdefault("workloads", {}).setdefault(name, {})
            estimates = summarise(list(played.values()))
            methods["methods"] = {METHOD: {k: v.as_dict() for k, v in estimates.items()}}
            scratch = out.with_suffix(".partial")
            scratch.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
            scratch.replace(out)
    return out


def play(data: Path | None, seed: int, *, cache: Path) -> dict[str, float | None]:
    """Numbers of one simulation; see :meth:`pipelines.simulation.ledger.Ledger.summary`."""
    with tempfile.TemporaryDirectory(prefix="loop-") as folder:
        config = SimulateConfig(data=data, output=Path(folder) / "run", cache=cache)
        output = simulate.run(replace(config, random_state=seed))
        found: dict[str, float | None] = orjson.loads((output / simulate.RESULT).read_bytes())[
            "summary"
        ]
    return found


def summarise(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Estimate]:
    """Means over seeds with t intervals; of recoveries and returns, the share of seeds.

    A seed counts where its number is defined: no recovery is where nothing was lost.
    """
    found = {metric: _defined(rows, metric) for metric in dict.fromkeys(m for r in rows for m in r)}
    estimates = {
        metric: share_of_trials(values == 1.0) if metric in _SHARES else mean_of_trials(values)
        for metric, values in found.items()
        if len(values)
    }
    for prefix in _PREFIXES:
        recovered = found.get(f"{prefix}recovered", np.empty(0))
        requests = found.get(f"{prefix}recovery_requests", np.empty(0))
        for n in SOON if len(recovered) else ():
            soon = (recovered == 1.0) & (requests <= n)
            estimates[f"{prefix}recovered_within_{n}"] = share_of_trials(soon)
    return estimates


def _defined(rows: Sequence[Mapping[str, float | None]], metric: str) -> FloatArray:
    return np.array([value for row in rows if (value := row.get(metric)) is not None])
