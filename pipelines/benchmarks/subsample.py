"""What is lost by learning from a tenth or a third of a log: hull gain on prompts kept apart."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.benchmarks.platform import machine
from pipelines.benchmarks.results import read_results, write_results
from pipelines.benchmarks.workloads import LOG_FOLDERS, read_workload
from pipelines.config import JoinConfig
from pipelines.encoders import get_encoder
from pipelines.sampling import sample_outcomes
from pipelines.stages import join
from pipelines.truth import PRICES
from router_ml.data.outcomes import (
    TrainingTable,
    outcomes_frame,
    read_candidates,
    read_outcomes,
    to_matrices,
)
from router_ml.errors import DataError
from router_ml.estimators.specs import Spec, as_estimator
from router_ml.estimators.tiers import TIERS
from router_ml.evaluation.intervals import Estimate, bootstrap_mean
from router_ml.features.featurizer import Featurizer
from router_ml.learning.decisions import play
from router_ml.learning.training_set import training_set

SHARES: Final = (0.1, 0.3)
WHOLE: Final = "100pct"


def run(
    data: Path,
    out: Path,
    *,
    cache: Path,
    workloads: tuple[str, ...] = tuple(LOG_FOLDERS),
    draws: int = 1,
    estimator: str = "",
    say: Callable[[str], None] = print,
) -> Path:
    """Write ``workloads.<workload>.methods.<share>pct.{hull_gain, loss, requests}``.

    The router of tier ``fast``, or of another ``estimator``, learns from the training split of the
    workload's log and is judged on the matrix's prompts of no group that the split has. ``loss`` is
    the hull gain of the whole log less that of the sample, paired by prompt; several draws are
    averaged, prompt by prompt.
    """
    results = read_results(out)
    for name in workloads:
        gains, groups, sizes = _gains(name, data, cache, draws, spec_of(estimator), say)
        whole = gains.pop(WHOLE)
        methods: dict[str, dict[str, Estimate]] = {
            WHOLE: {"hull_gain": bootstrap_mean(whole, group_id=groups)}
        }
        for method, gain in gains.items():
            methods[method] = {
                "hull_gain": bootstrap_mean(gain, group_id=groups),
                "loss": bootstrap_mean(whole - gain, group_id=groups),
            }
        for method, size in sizes.items():
            methods[method]["requests"] = Estimate(size, size, size, draws)
        results["workloads"][name] = {
            "methods": {
                method: {key: value.as_dict() for key, value in cells.items()}
                for method, cells in methods.items()
            },
            "protocol": f"{estimator or 'tier fast'}, {draws} draws, prompts of other groups",
        }
        results["machine"] = machine()
        write_results(out, results)
    return out


def spec_of(estimator: str) -> Spec:
    """What is fitted: an estimator by name, by default that of tier ``fast``."""
    return {"name": estimator} if estimator else TIERS["fast"].quality


def _gains(
    name: str, data: Path, cache: Path, draws: int, spec: Spec, say: Callable[[str], None]
) -> tuple[dict[str, Any], Any, dict[str, float]]:
    """Mean gain over budgets of every test prompt, by method; their groups; requests used."""
    encoder = get_encoder(cache=cache)
    truth = read_workload(name, data)
    folder = data / LOG_FOLDERS[name]
    gains: dict[str, list[Any]] = {}
    sizes: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        joined = join.run(
            JoinConfig(
                requests=(str(folder / "requests.jsonl.gz"),),
                labels=(str(folder / "labels.csv"),),
                prices=(str(folder / PRICES),),
                output=Path(work),
            )
        )
        candidates = read_candidates(joined, truth.candidates.names)
        frame = read_outcomes(joined)
        frame = frame[frame["split"] == "train"]
        test = truth.take(np.flatnonzero(~np.isin(truth.group_id, frame["group_id"])))
        batch = Featurizer(encoder=encoder).transform(test.queries)

        def learn(method: str, table: TrainingTable) -> None:
            fitted = training_set(table, candidates, encoder)
            quality = as_estimator(spec)
            played = play(fitted, quality, test, batch, floored=True)[2]
            gains.setdefault(method, []).append(played.gains.mean(axis=1))
            sizes[method] = float(len(table))
            say(f"{name} {method}: {len(table):,} requests, {played.gains.mean():.4f}")

        learn(WHOLE, to_matrices(frame, candidates.names))
        for share in SHARES:
            for draw in range(draws):
                drawn = sample_outcomes(
                    joined / "outcomes.parquet",
                    "train",
                    round(share * len(frame)),
                    joined,
                    salt=f"draw-{draw}",
                )
                if drawn is None:
                    raise DataError(f"{name}: nothing to draw from {len(frame)} requests")
                table = to_matrices(outcomes_frame(drawn[0]), candidates.names)
                learn(f"{share:.0%}".replace("%", "pct"), table)
    means = {method: np.mean(rows, axis=0) for method, rows in gains.items()}
    return means, test.groups, sizes
