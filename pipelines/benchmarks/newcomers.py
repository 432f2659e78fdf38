"""A candidate that is new: each endpoint of ``mix`` hidden in turn, and some labels given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.baselines import ClusterTable
from pipelines.benchmarks.workloads import MIX, Split, cross_validation, read_workload
from pipelines.console import progress
from pipelines.encoders import get_encoder
from router_ml.data.full_information import FullInformation
from router_ml.estimators.amounts import AmountEstimator, Link
from router_ml.estimators.candidate_pool import Pool
from router_ml.estimators.cross_fitting import held_out_by
from router_ml.estimators.specs import Spec, as_estimator
from router_ml.evaluation.hull import Hull
from router_ml.evaluation.intervals import Estimate, simultaneous_means
from router_ml.features.featurizer import Featurizer
from router_ml.learning.decisions import Played, play_budgets
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch

BASE: Final[Mapping[str, Any]] = {"name": "extra_trees", "n_trees": 40}
"""Of the established candidates, and of the independent and the joint fit: level with ``fast`` by
its decisions at a tenth of the time."""
SIZES: Final = (0, 50, 200, 1_000)
POOLED: Final = "pooled"
Column = tuple[FloatArray, FloatArray]
"""A newcomer's predicted quality on training rows, out of fold, and on test rows."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One hidden endpoint in one fold: errors and gains of the test rows, by method."""

    errors: Mapping[str, FloatArray]
    gains: Mapping[str, FloatArray]


def run(data: Path, out: Path, *, cache: Path, folds: int = 2, base: Spec = BASE) -> Path:
    """Write ``workloads.mix-10-newcomer-<labels>.methods.<method>.<metric>``.

    Methods predict the newcomer; the nine others are predicted by the same base for all.
    ``brier`` is of the newcomer's column, ``hull_gain`` of budgets solved with it (without floor)
    beside the hull of all ten constants; both are means over the hidden endpoints and prompts of
    the first ``folds`` of five folds. ``brier_lead`` and ``gain_lead`` are how much better the
    pooled newcomer is, paired by prompt, 95 % simultaneous over rivals.
    """
    truth = read_workload(MIX, data)
    batch = Featurizer(encoder=get_encoder(cache=cache)).transform(truth.queries)
    splits = cross_validation(truth.groups)[:folds]
    cells: dict[int, list[list[Cell]]] = {size: [] for size in SIZES}
    with progress("hidden endpoints", len(splits) * len(truth.candidates)) as advance:
        for f, split in enumerate(splits):
            rows: dict[int, list[Cell]] = {size: [] for size in SIZES}
            for new in range(len(truth.candidates)):
                hidden = _Hidden(truth, batch, split, new, base, seed=100 * f + new)
                for size in SIZES:
                    rows[size].append(hidden.measure(size))
                advance(1)
            for size in SIZES:
                cells[size].append(rows[size])
    groups = np.concatenate([truth.groups[split.test] for split in splits])
    result = {
        f"{MIX}-newcomer-{size}": {
            "methods": {
                method: {key: value.as_dict() for key, value in metrics.items()}
                for method, metrics in _summary(cells[size], groups).items()
            },
            "protocol": f"the first {folds} of five folds, base {as_estimator(base)!r}",
        }
        for size in SIZES
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps({"workloads": result}, option=orjson.OPT_INDENT_2))
    return out


class _Hidden:
    """One endpoint hidden on one split."""

    def __init__(
        self,
        truth: FullInformation,
        batch: QueryBatch,
        split: Split,
        new: int,
        base: Spec,
        seed: int,
    ) -> None:
        self.train, self.test = truth.take(split.train), truth.take(split.test)
        self.learn, self.judge = batch.take(split.train), batch.take(split.test)
        self.new, self.base, self.table = new, base, truth.candidates
        self.known = [k for k in range(len(self.table)) if k != new]
        self.order = np.random.default_rng(seed).permutation(len(self.train))
        fitted, self.inside = self._fit(self.train.quality[:, self.known], self.known)
        self.outside = fitted.predict(self.judge, self.table.take(self.known))
        self.hull = Hull.of(self.train.quality.mean(axis=0), self.train.cost_usd.mean(axis=0))
        best = int(np.argmax(self.train.quality.mean(axis=0)))
        self.reference = float(self.train.cost_usd[:, best].mean())
        self.everything = self._joint(self.train.quality)

    def measure(self, size: int) -> Cell:
        """All methods, given so many of the newcomer's labels."""
        rows = self.order[:size]
        Y = self.train.quality.copy()
        unseen = np.ones(len(Y), dtype=bool)
        unseen[rows] = False
        Y[unseen, self.new] = np.nan
        columns = {POOLED: self._pooled(Y), "all_labels": self.everything}
        if size:
            columns |= {
                "mean": self._mean(Y),
                "cluster_table": self._table(Y, rows),
                "independent": self._independent(rows),
                "joint": self._joint(Y),
            }
        truth = self.test.quality[:, self.new]
        costs = self._amounts(unseen)
        gains = {"without": self._gain(None, costs)}
        gains |= {name: self._gain(column, costs) for name, column in columns.items()}
        return Cell({n: (c[1] - truth) ** 2 for n, c in columns.items()}, gains)

    def _fit(self, Y: FloatArray, which: Sequence[int]) -> tuple[Any, FloatArray]:
        return held_out_by(
            as_estimator(self.base),
            self.learn,
            Y,
            candidates=self.table.take(which),
            weight=np.where(np.isnan(Y), 0.0, 1.0),
            groups=self.train.groups,
            n_folds=3,
        )

    def _pooled(self, Y: FloatArray) -> Column:
        pool = Pool.fit(
            self.inside,
            Y,
            np.where(np.isnan(Y), 0.0, 1.0),
            candidates=self.table,
            known=self.known,
            groups=self.train.groups,
        )
        return pool.oof[:, self.new], pool.mix(self.outside)[:, self.new]

    def _joint(self, Y: FloatArray) -> Column:
        """Train again on all labels of all candidates."""
        everyone = list(range(len(self.table)))
        fitted, inside = self._fit(Y, everyone)
        return inside[:, self.new], fitted.predict(self.judge, self.table)[:, self.new]

    def _independent(self, rows: IntArray) -> Column:
        """The base on the newcomer's labels alone."""
        one = self.table.take([self.new])
        Y = np.full((len(self.train), 1), np.nan)
        Y[rows] = self.train.quality[rows][:, [self.new]]
        fitted, inside = self._fit(Y, [self.new])
        return inside[:, 0], fitted.predict(self.judge, one)[:, 0]

    def _mean(self, Y: FloatArray) -> Column:
        mean = float(np.nanmean(Y[:, self.new]))
        return np.full(len(self.train), mean), np.full(len(self.test), mean)

    def _table(self, Y: FloatArray, rows: IntArray) -> Column:
        """Four clusters of all prompts, the newcomer's means shrunken to the pool's."""
        table = ClusterTable(n_clusters=4).fit(self.learn, Y, candidates=self.table)
        inside, outside = (table.predict(q, self.table) for q in (self.learn, self.judge))
        return inside[:, self.new], outside[:, self.new]

    def _amounts(self, unseen: BoolArray) -> tuple[Predictions, Predictions]:
        """Tokens of training and test rows; the newcomer's from its labelled rows alone."""
        links: dict[str, Link] = {"input_tokens": "identity", "output_tokens": "log"}
        found: list[dict[str, FloatArray]] = [{}, {}]
        for part, link in links.items():
            seen = getattr(self.train, part).copy()
            seen[unseen, self.new] = np.nan
            estimator = AmountEstimator(link=link).fit(self.learn, seen, candidates=self.table)
            found[0][part] = estimator.predict(self.learn, self.table)
            found[1][part] = estimator.predict(self.judge, self.table)
        none = [np.zeros_like(parts["input_tokens"]) for parts in found]
        inside, outside = (
            Predictions(zero, latency_ms=zero, **parts)
            for zero, parts in zip(none, found, strict=True)
        )
        return inside, outside

    def _gain(self, column: Column | None, costs: tuple[Predictions, Predictions]) -> FloatArray:
        """Mean gain over budgets of every test row; without the newcomer it is never chosen."""
        parts = []
        for i, known in enumerate((self.inside, self.outside)):
            quality = np.full((len(known), len(self.table)), -1.0)
            quality[:, self.known] = known
            if column is not None:
                quality[:, self.new] = column[i]
            parts.append(replace(costs[i], quality=quality))
        played: Played = play_budgets(
            parts[0],
            parts[1],
            self.table,
            self.test,
            hull=self.hull,
            reference_usd=self.reference,
        )
        gain: FloatArray = played.gains.mean(axis=1)
        return gain


def _summary(folds: Sequence[Sequence[Cell]], groups: IntArray) -> dict[str, dict[str, Estimate]]:
    """Means over hidden endpoints, row by row, then intervals over prompts."""
    found: dict[str, dict[str, Estimate]] = {}
    for part, metric, lead in (
        ("errors", "brier", "brier_lead"),
        ("gains", "hull_gain", "gain_lead"),
    ):
        names = list(getattr(folds[0][0], part))
        rows = {
            name: np.concatenate(
                [np.mean([getattr(cell, part)[name] for cell in fold], axis=0) for fold in folds]
            )
            for name in names
        }
        means = simultaneous_means(np.stack([rows[n] for n in names], axis=1), groups)
        for name, mean in zip(names, means, strict=True):
            found.setdefault(name, {})[metric] = mean
        rivals = [name for name in names if name != POOLED]
        sign = -1.0 if part == "errors" else 1.0
        apart = np.stack([sign * (rows[POOLED] - rows[name]) for name in rivals], axis=1)
        for name, mean in zip(rivals, simultaneous_means(apart, groups), strict=True):
            found[name][lead] = mean
    return found
