"""A bundle's predictions beside a log's feedback, so that any policy can be judged off policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from router_ml.data.groups import distinct_rows
from router_ml.data.outcomes import UNSETTLED, TrainingTable
from router_ml.errors import DataError
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.off_policy.assessment import Assessment, assess
from router_ml.evaluation.off_policy.distribution import TailValue
from router_ml.evaluation.off_policy.estimators import doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.log_feedback import (
    REGIONS,
    feedback,
    largest_weight,
    measured_feedback,
    regions_of,
)
from router_ml.evaluation.off_policy.tail_guards import logged_outcomes, reported_tails
from router_ml.evaluation.off_policy.today import on_policy, today_probs, today_values
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """A log's requests and what the bundle predicts of them; rows are requests.

    The bundle has not seen their groups, so its predictions are the nuisance model. Columns are the
    bundle's candidates, then others that the log has, of which nothing is predicted (0): no policy
    here plays them.
    """

    table: TrainingTable
    quality: LoggedFeedback
    cost_usd: LoggedFeedback
    predictions: Predictions
    predicted_quality: FloatArray
    predicted_cost: FloatArray

    def assess(
        self, probs: FloatArray, *, max_unsupported: float = 0.05, cost_weight: float = 0.0
    ) -> dict[str, Assessment]:
        """Judge quality, cost and, where ``cost_weight`` > 0, utility of a policy, shape (n, K).

        Raises
        ------
        OverlapError
            If the log cannot support it.
        """
        region = regions_of(self.table)
        options: dict[str, Any] = {
            "candidates": self.table.candidates,
            "max_unsupported": max_unsupported,
        }
        by_region: dict[str, Any] = {"region": region, "regions": REGIONS}
        utility = LoggedFeedback(
            action=self.quality.action,
            propensity=self.quality.propensity,
            outcome=self.quality.outcome - cost_weight * self.cost_usd.outcome,
            label_prob=self.quality.label_prob,
            group_id=self.quality.group_id,
            propensity_source=self.quality.propensity_source,
        )
        predicted_utility = self.predicted_quality - cost_weight * self.predicted_cost
        found = {
            "quality": assess(
                self.quality,
                probs,
                self.predicted_quality,
                largest_weight=largest_weight(
                    self.quality, np.arange(self.predictions.quality.shape[1])
                ),
                **options,
                **by_region,
            ),
            "cost_usd": assess(
                self.cost_usd, probs, self.predicted_cost, outcome_range=None, **options
            ),
        }
        if cost_weight > 0.0:
            found["utility"] = assess(
                utility, probs, predicted_utility, outcome_range=None, **options
            )
        return found

    def assess_today(self, *, cost_weight: float = 0.0) -> dict[str, Assessment]:
        """The same of the logging policy, which no propensity is needed for."""
        own = replace(self, quality=on_policy(self.quality), cost_usd=on_policy(self.cost_usd))
        probs = today_probs(self.quality, len(self.table.candidates))
        return own.assess(probs, max_unsupported=1.0, cost_weight=cost_weight)

    def tails(
        self, probs: FloatArray, *, today: bool = False, cost_weight: float = 0.0
    ) -> dict[str, TailValue]:
        """Quantiles of latency and cost and the worst of quality of a policy, shape (n, K)."""
        logs = {"quality": self.quality, "cost_usd": self.cost_usd}
        if np.isfinite(self.table.latency_ms).any():
            logs["latency_ms"] = measured_feedback(self.table, self.table.latency_ms)
        if today:
            logs = {measure: on_policy(log) for measure, log in logs.items()}
            probs = today_probs(self.quality, len(self.table.candidates))
        return reported_tails(logged_outcomes(logs, probs, cost_weight=cost_weight))

    def against_today(self, probs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Row values of quality and cost, a policy's minus today's, shape (n,) each."""
        return (
            doubly_robust(self.quality, probs, self.predicted_quality).influence
            - today_values(self.quality, self.predicted_quality).influence,
            doubly_robust(self.cost_usd, probs, self.predicted_cost).influence
            - today_values(self.cost_usd, self.predicted_cost).influence,
        )


def log_evaluation(
    runtime: Runtime,
    table: TrainingTable,
    *,
    predictions: Predictions | None = None,
    progress: Callable[[int], None] | None = None,
) -> LogEvaluation:
    """Score a log's requests and lay out their feedback.

    Propensities that were not logged are estimated, and every report says so.

    Parameters
    ----------
    predictions : of every request by models that had not seen its prompt, shape (n, K); default:
        the bundle's own, for requests that it was not trained on

    Raises
    ------
    DataError
        If the split has no labelled request.
    """
    if len(table) == 0 or not np.isfinite(table.quality).any():
        raise DataError(
            f"the test split has no labelled request; join more log, or raise test_share{UNSETTLED}"
        )
    if predictions is None:
        first, code = distinct_rows(table.query_id)
        queries = tuple(table.queries[i] for i in first)
        predictions = runtime.predict(queries, progress=progress).take(code)
    quality, cost_usd = feedback(table, estimate=True)
    cost = runtime.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    return LogEvaluation(
        table=table,
        quality=quality,
        cost_usd=cost_usd,
        predictions=predictions,
        predicted_quality=in_columns(predictions.quality, runtime, table.candidates),
        predicted_cost=in_columns(cost, runtime, table.candidates),
    )
