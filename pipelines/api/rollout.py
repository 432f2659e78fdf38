"""A log replayed with a new candidate, without it, and while it is explored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.api.log import Log
from pipelines.api.router import Router
from router_ml.data.groups import distinct_rows
from router_ml.data.outcomes import TrainingTable, to_matrices
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.gate.pairing import Contender
from router_ml.evaluation.sample_size import (
    difference_variance,
    labels_for_level,
    rows_for_difference,
)
from router_ml.evaluation.segmentation import segmentations
from router_ml.evaluation.segments import parts_of
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions

_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class Rollout:
    """A log's n requests under the router with the newcomer, the one without, and exploring.

    Columns are the wider router's candidates. ``new`` and ``old`` are played by prediction alone,
    ``served`` is what the router without it does today.
    """

    at: int
    predictions: Predictions
    quality: FloatArray
    cost_usd: FloatArray
    new: FloatArray
    old: FloatArray
    served: FloatArray
    exploring: FloatArray
    table: TrainingTable
    label_share: float
    days: float

    @classmethod
    def of(cls, wider: Router, router: Router, exploring: Router, log: Log) -> Rollout:
        """Replay a log; prompts that a router was trained on by what training held out."""
        outcomes = log.outcomes
        table = to_matrices(outcomes, wider.candidates.names)
        predictions, _ = Contender(wider.runtime, wider.held_out).predict(table)
        before, _ = Contender(router.runtime, router.held_out).predict(table)

        def without(player: Router) -> FloatArray:
            probs = player.action_probs(before)
            return in_columns(probs, router.runtime, wider.candidates.names)

        span = float((table.time.max() - table.time.min()) / _DAY)
        return cls(
            at=len(wider.candidates) - 1,
            predictions=predictions,
            quality=predictions.quality,
            cost_usd=wider.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens),
            new=_by_prediction(wider).action_probs(predictions),
            old=without(_by_prediction(router)),
            served=without(router),
            exploring=exploring.action_probs(predictions),
            table=table,
            label_share=max(float(np.isfinite(table.quality).mean()), 1.0 / len(table)),
            days=span,
        )

    def shifted(self, router: Router, by: float) -> FloatArray:
        """Action probabilities if the newcomer's quality is higher by so much."""
        quality = self.quality.copy()
        quality[:, self.at] = np.clip(quality[:, self.at] + by, 0.0, 1.0)
        return _by_prediction(router).action_probs(replace(self.predictions, quality=quality))

    def segments(self, low: FloatArray, high: FloatArray) -> pd.DataFrame:
        """See :class:`pipelines.api.onboarding.Onboarding`."""
        kinds: dict[str, Any] = {"all": None, **_labels(self.table)}
        moved = self.new - self.old
        change = {"quality_change": (moved * self.quality).sum(axis=1),
                  "cost_usd_change": (moved * self.cost_usd).sum(axis=1)}  # fmt: skip
        columns = {"newcomer": self.new[:, self.at], "newcomer_low": low, "newcomer_high": high}
        rows = []
        for kind, labels in kinds.items():
            everything = [("all", np.ones(len(low), dtype=bool))]
            for name, inside in everything if labels is None else parts_of(labels):
                rows.append({
                    "kind": kind, "name": name, "rows": int(inside.sum()),
                    "share": float(inside.mean()),
                    **{key: float(v[inside].mean()) for key, v in (columns | change).items()},
                })  # fmt: skip
        return pd.DataFrame(rows)

    def plan(self, std: float, margin: float, gate_margin: float, power: float) -> pd.DataFrame:
        """See :class:`pipelines.api.onboarding.Onboarding`."""
        own = self.quality[:, self.at]
        given = float(self.exploring[:, self.at].mean())
        labels = labels_for_level(float((own * (1.0 - own)).mean()), std, margin, power=power)
        spread = difference_variance(
            self.new, self.old, self.exploring, self.quality, self.label_share
        )
        rows = rows_for_difference(spread, gate_margin, power=power)
        extra = ((self.exploring - self.served) * self.cost_usd).sum(axis=1).mean()
        spent = (self.exploring[:, self.at] * self.cost_usd[:, self.at]).mean()
        table = []
        for question, gap, needed in (
            ("its mean quality", margin, labels / (self.label_share * given)),
            ("the gate: with it or without", gate_margin, float(rows)),
        ):
            table.append({
                "question": question,
                "margin": gap,
                "labels": int(np.ceil(needed * given * self.label_share)),
                "newcomer_requests": int(np.ceil(needed * given)),
                "requests": int(np.ceil(needed)),
                "days": needed / len(own) * self.days,
                "cost_usd": float(needed * spent),
                "extra_cost_usd": float(needed * extra),
            })  # fmt: skip
        return pd.DataFrame(table)


def _labels(table: TrainingTable) -> dict[str, np.ndarray]:
    """Kind of segment -> a label a request."""
    first, code = distinct_rows(table.query_id)
    found = segmentations([table.queries[i] for i in first])
    return {kind: np.asarray(labels, dtype=object)[code] for kind, labels in found.items()}


def _by_prediction(router: Router) -> Router:
    """The router without the constants that its policy falls back on."""
    if not router.policy.get("floor_share"):
        return router
    return router.with_policy({**router.policy, "floor_share": 0.0})
