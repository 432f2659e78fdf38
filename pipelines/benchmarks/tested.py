"""What methods are worth on the tested rows of a workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.benchmarks.graph_time import median
from pipelines.benchmarks.quality_cascades import PICKED, picked
from pipelines.benchmarks.scored import Scored
from pipelines.benchmarks.workloads import LLMROUTER, Split
from router_ml.data.full_information import FullInformation
from router_ml.evaluation import metrics
from router_ml.evaluation.ceiling import (
    corrected_gap,
    reachable_by_expectation,
    reachable_by_repeats,
)
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.two_candidates import apgr_rows, two_candidates
from router_ml.learning.decisions import Played, budget_metrics
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray


class Tested:
    """Metrics of what methods predict and decide on the test rows of all splits together.

    Parameters
    ----------
    name : of the workload
    truth : of all its rows
    splits : those that are played
    pooled : whether their test rows are one sample; draws of few labels overlap, and are averaged
    """

    def __init__(
        self, name: str, truth: FullInformation, splits: Sequence[Split], *, pooled: bool
    ) -> None:
        self.name, self.whole, self.splits = name, truth, splits
        self.is_pooled = pooled

    @property
    def rows(self) -> IntArray:
        """Test rows of all splits, ascending."""
        return np.sort(np.concatenate([split.test for split in self.splits]))

    @property
    def truth(self) -> FullInformation:
        """Of the test rows, in the order of pooled predictions."""
        return self.whole.take(self.rows)

    def pooled(self, parts: Sequence[FloatArray]) -> FloatArray:
        """Rows of all splits in the order of :attr:`rows`."""
        order = np.argsort(np.concatenate([split.test for split in self.splits]), kind="stable")
        pooled: FloatArray = np.concatenate(list(parts))[order]
        return pooled

    def summary(self, parts: Sequence[Scored]) -> metrics.Metrics:
        """All metrics of one method, by the parts of its splits."""
        if not self.is_pooled:
            each = [
                self._metrics(part, split.test)
                for part, split in zip(parts, self.splits, strict=True)
            ]
            row = metrics.mean_over_seeds(each)
        else:
            pooled = Scored(
                self.pooled([part.quality for part in parts]),
                self.pooled([part.cost_usd for part in parts]),
                np.zeros((0, 2)),
            )
            row = self._metrics(pooled, self.rows)
            played = [part.played.array for part in parts if part.played is not None]
            if played:
                whole = Played.from_array(self.pooled(played))
                row |= budget_metrics(whole, self.truth)
        times = np.concatenate([part.ms for part in parts])
        if not len(times):
            return row
        return {**row, "score_ms": median(times[:, 0]), "graph_ms": median(times[:, 1])}

    def _metrics(self, scored: Scored, rows: IntArray) -> metrics.Metrics:
        truth, groups = self.whole.quality[rows], self.whole.groups[rows]
        row = metrics.calibration_metrics(scored.quality, truth, groups)
        if self.whole.has_cost:
            choices = metrics.choices_by_cost_weight(scored.quality, scored.cost_usd)
            return row | metrics.curve_metrics(choices, truth, self.whole.cost_usd[rows], groups)
        if self.name == LLMROUTER:
            return row | metrics.best_of_all(np.argmax(scored.quality, axis=1), truth, groups)
        return row | two_candidates(scored.quality[:, 1] - scored.quality[:, 0], truth, groups)

    def decided(self, parts: Sequence[Scored]) -> FloatArray:
        """What a method's decisions gain on every row, in the unit of the workload's own metric."""
        truth = self.truth.quality
        if all(part.played is not None for part in parts):
            gains = [part.played.gains for part in parts if part.played is not None]
            mean: FloatArray = self.pooled(gains).mean(axis=1)
            return mean
        quality = self.pooled([part.quality for part in parts])
        if truth.shape[1] == 2:
            return apgr_rows(quality[:, 1] - quality[:, 0], truth)
        chosen: FloatArray = truth[np.arange(len(truth)), quality.argmax(axis=1)]
        return chosen

    def cascade_summary(self, played: Played) -> metrics.Metrics:
        """At budgets fixed in training; and, second, at points picked on the tested prompts."""
        truth = self.truth
        price = float(truth.cost_usd[:, best_constant(truth.quality, truth.cost_usd)].mean())
        row = budget_metrics(played, truth)
        for share, value in zip(PICKED, picked(played, price), strict=True):
            name = f"quality_at_{round(100 * share)}pct_cost"
            row[name] = Estimate(value, value, value, len(truth))
        return row

    def reference(self, method: str, fold: int) -> Scored:
        """What chance or the oracle predicts for one split."""
        rows = self.splits[fold].test
        truth = self.whole.quality[rows]
        quality = truth
        if method == "random":
            quality = np.random.default_rng(fold).random(truth.shape)
        return Scored(quality, self.whole.cost_usd[rows], np.zeros((0, 2)))

    def correct_gaps(
        self, table: dict[str, metrics.Metrics], predictions: Mapping[str, FloatArray]
    ) -> None:
        """Beside every raw share of the oracle's gap, those of what is not luck.

        By repeats of all rows, tested or not, where there are; and by the expected maximum under
        the predictions of the lowest Brier score.
        """
        known = [name for name in predictions if "brier" in table.get(name, {})]
        if not known:
            return
        truth = self.truth
        sharpest = min(known, key=lambda name: table[name]["brier"].value)
        reachable = {
            "expected": reachable_by_expectation(
                truth.quality, predictions[sharpest], truth.groups
            ),
            "repeats": reachable_by_repeats(self.whole.quality, self.whole.query_id.tolist()),
        }
        for kind, share in reachable.items():
            if share is None:
                continue
            table["oracle"][f"reachable_gap_{kind}"] = share
            for row in table.values():
                if "oracle_gap_closed" in row:
                    row[f"gap_closed_{kind}"] = corrected_gap(row["oracle_gap_closed"], share)
