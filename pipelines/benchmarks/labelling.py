"""What to label next: draws as proposed beside even ones, on a log whose labels are known."""

from __future__ import annotations

import gzip
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pandas as pd

import router_ml as rm
from pipelines.benchmarks.trials import mean_of_trials
from pipelines.stages.label_proposal import label_value
from router_ml.evaluation.gate.pairing import Contender
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

BUDGETS: Final = (100, 300, 600)
FLOORS: Final = {"proposed": 0.1, "even": 1.0}
"""Share of the budget that is spread evenly: as ``router-ml label propose`` has it, and all."""


def run(
    data: Path,
    out: Path,
    *,
    cache: Path,
    requests: int = 4_000,
    kept: float = 0.2,
    draws: int = 1_000,
    budgets: Sequence[int] = BUDGETS,
    seed: int = 0,
) -> Path:
    """Write ``workloads.mix-10-labels-<budget>.methods.<proposed|even>.<metric>``.

    Of the labels of ``mix``'s first requests a share is kept; a linear router at a quarter of the
    best constant's cost is learned from those and compared with today. The others can be drawn:
    ``bias`` is the mean error of the doubly robust difference against the one with all labels,
    ``standard_deviation`` its spread over draws, ``stated`` the spread that is computed beforehand
    without a hidden label. All are in units of quality.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        file, labels = first_requests(data / "mix", work, requests)
        ids = labels["request_id"].unique()
        chosen = labels["request_id"].isin(rng.choice(ids, round(kept * len(ids)), replace=False))
        prices = data / "mix" / "prices.json"
        known = rm.read_log(file, labels=labels[chosen], prices=prices)
        whole = rm.read_log(file, labels=labels, prices=prices)
        policy = rm.Budget(cost_share=0.25)
        router = rm.fit(known, estimator="linear", policy=policy, cache=cache)
        value, sides, table, _ = label_value(
            Contender(router.runtime, router.held_out), None, known.folder
        )
        truth = whole.outcomes.set_index("request_id")["quality"]
        quality = truth.loc[list(table.request_id)].to_numpy(dtype=float)
    value = replace(value, open=~value.labelled & np.isfinite(quality))
    guess = sides.guess[np.arange(len(quality)), sides.quality.action]
    residual = np.where(value.open, value.weight * (quality - guess), 0.0)
    result = {
        f"mix-10-labels-{budget}": {
            "methods": {
                name: {
                    metric: found.as_dict()
                    for metric, found in _draw(
                        residual, value.score, value.probs(budget, floor=floor), draws, rng
                    ).items()
                }
                for name, floor in FLOORS.items()
            },
            "protocol": f"{len(quality)} requests, {int(value.labelled.sum())} labelled, "
            f"{int(value.open.sum())} to draw from, {draws} draws",
        }
        for budget in budgets
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps({"workloads": result}, option=orjson.OPT_INDENT_2))
    return out


def first_requests(mix: Path, work: Path, n: int) -> tuple[Path, pd.DataFrame]:
    """The first requests of a log as a file, and their labels."""
    with gzip.open(mix / "requests.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = list(itertools.islice(lines, n))
    file = work / "requests.jsonl"
    file.write_text("".join(rows), encoding="utf-8")
    labels = pd.read_csv(mix / "labels.csv")
    return file, labels[labels["request_id"].isin({orjson.loads(row)["id"] for row in rows})]


def _draw(
    residual: FloatArray,
    score: FloatArray,
    probs: FloatArray,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Errors of the difference over draws; rows that cannot be drawn have probability 0."""
    n, rows = len(residual), np.flatnonzero(probs)
    weighed = residual[rows] / probs[rows]
    errors = np.array([
        (weighed[rng.random(len(rows)) < probs[rows]].sum() - residual.sum()) / n
        for _ in range(draws)
    ])  # fmt: skip
    spread = float(errors.std(ddof=1))
    half = 1.96 * spread / float(np.sqrt(2.0 * (draws - 1)))
    stated = float(np.sqrt((score[rows] ** 2 * (1.0 / probs[rows] - 1.0)).sum()) / n)
    return {
        "bias": mean_of_trials(errors),
        "standard_deviation": Estimate(spread, spread - half, spread + half, draws),
        "stated": Estimate(stated, stated, stated, draws),
    }
