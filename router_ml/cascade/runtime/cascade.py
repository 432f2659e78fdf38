"""A query and the answers so far to the next step: accept one, or ask whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from router_ml.bundle.files import Bundle
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.policies.sequential import ACCEPT, SequentialPolicy, Step, best_answer
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.files import policy_from_dict, read_cascade
from router_ml.cascade.runtime.next_step import NextStep
from router_ml.cascade.runtime.scorer import AnswerRuntime
from router_ml.errors import InvalidRequestError
from router_ml.features.lexical import lexical_features
from router_ml.features.query import Query
from router_ml.runtime.conditions import refused
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.runtime.spent import Spent
from router_ml.types.answers import Answer
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.predictions import Predictions


class CascadeRuntime:
    """Steps of a cascade; immutable, safe to call from several threads.

    The router decides by :meth:`router_ml.runtime.runtime.Runtime.choose`, as for ``/v1/route``,
    wherever there is no answer yet and the cascade does not say whom to ask: without an answer
    scorer in the bundle, where no candidate of a fixed order may be asked, and where a request
    brings a ``cost_weight`` that the cascade cannot take.

    Parameters
    ----------
    bundle : verified
    runtime : of the same bundle
    policy : replaces the bundle's cascade policy, as its ``to_dict()`` gives it

    Raises
    ------
    BundleError
        If the cascade's files are not ones that this release reads.
    """

    def __init__(
        self, *, bundle: Bundle, runtime: Runtime, policy: Mapping[str, Any] | None = None
    ) -> None:
        self.runtime = runtime
        self.scorer: AnswerRuntime | None = None
        self.policy: SequentialPolicy | None = None
        files = read_cascade(bundle)
        if files is not None:
            self.scorer = AnswerRuntime(
                graph=files.graph, n_candidates=len(runtime.candidates), layout=files.layout
            )
            self.policy = files.policy if policy is None else policy_from_dict(policy)

    def next(
        self,
        query: Query,
        attempts: Sequence[Attempt],
        constraints: Constraints = NO_CONSTRAINTS,
        *,
        max_depth: int | None = None,
    ) -> NextStep:
        """Decide one step.

        Parameters
        ----------
        query : what was asked
        attempts : turns so far, in any order; a candidate at most once
        constraints : of the whole cascade: ``max_cost_usd`` and ``max_latency_ms`` count what was
            spent. Before the first answer ``min_quality`` admits candidates as it does for a
            route; afterwards it accepts an answer whose estimate reaches it.
        max_depth : most attempts, failed ones included

        Raises
        ------
        InvalidRequestError
            If a candidate is unknown or stands twice, or nobody is left to ask and no answer came.
        """
        constraints = constraints.of(query)
        spent = self._spent(attempts)
        lexical = lexical_features(query)
        predictions = self.runtime.predict_one(query, lexical)
        priced, cost = self.runtime.priced(predictions, constraints)
        posterior = self._posterior(query, lexical, attempts, predictions.quality)
        allowed, refusal = constraints.admitted(
            self.runtime.positions, self.runtime.candidates, priced, cost, spent
        )
        if max_depth is not None and len(attempts) >= max_depth:
            refusal = f"max_depth={max_depth} is reached"
        if np.isnan(posterior).all():
            if refusal:
                came = "no answer came and nobody is left to ask: " if attempts else ""
                raise refused(refusal, came)
            return self._first(predictions, cost, posterior, allowed, constraints, spent)
        return self._later(
            predictions.quality, cost, posterior, None if refusal else allowed, constraints
        )

    def _first(
        self,
        predictions: Predictions,
        cost: FloatArray,
        posterior: FloatArray,
        allowed: BoolArray,
        constraints: Constraints,
        spent: Spent,
    ) -> NextStep:
        """Whom to ask while there is no answer: the cascade's choice, else the router's."""
        policy = self.policy
        if policy is not None and constraints.cost_weight is not None:
            policy = policy.at(constraints.cost_weight)
        if policy is not None:
            prior = predictions.quality
            able = constraints.floored(allowed, prior)
            step = policy.step(prior, cost, posterior, ~able)
            if step.action[0] != ACCEPT:
                return self._escalate(step, 0.0, {})
        decision = self.runtime.choose(predictions, constraints, spent)
        line = next(row for row in decision.ranking if row.candidate == decision.candidate)
        return NextStep(
            action="escalate",
            candidate=decision.candidate,
            quality=0.0,
            expected_gain=line.quality,
            expected_cost_usd=line.cost_usd,
            estimates={},
            reason=f"the router's choice: {decision.reason}",
            decision=decision,
        )

    def _later(
        self,
        prior: FloatArray,
        cost: FloatArray,
        posterior: FloatArray,
        allowed: BoolArray | None,
        constraints: Constraints,
    ) -> NextStep:
        """Accept the best answer, or go on among ``allowed``; ``None`` = nobody may be asked."""
        names = self.runtime.candidates.names
        positions, bests = best_answer(posterior)
        best = float(bests[0])
        estimates = {
            names[k]: float(posterior[0, k]) for k in np.flatnonzero(~np.isnan(posterior[0]))
        }
        floor = constraints.min_quality
        enough = floor is not None and best >= floor
        if self.policy is not None and allowed is not None and not enough:
            policy = self.policy
            if constraints.cost_weight is not None:
                policy = policy.at(constraints.cost_weight) or policy
            step = policy.step(prior, cost, posterior, ~allowed)
            if step.action[0] != ACCEPT:
                return self._escalate(step, best, estimates)
        name = names[int(positions[0])]
        why = f"{name}'s answer is worth accepting"
        return NextStep("accept", name, best, 0.0, 0.0, estimates, why)

    def _escalate(self, step: Step, best: float, estimates: Mapping[str, float]) -> NextStep:
        name = self.runtime.candidates.names[int(step.action[0])]
        gain, price = float(step.gain[0]), float(step.cost_usd[0])
        why = f"an answer of {name} is expected to gain {gain:.3f} for ${price:.3g}"
        return NextStep("escalate", name, best, gain, price, estimates, why)

    def _spent(self, attempts: Sequence[Attempt]) -> Spent:
        positions = self.runtime.positions
        given = [attempt.candidate for attempt in attempts]
        unknown = [name for name in given if name not in positions]
        if unknown or len(set(given)) != len(given):
            raise InvalidRequestError(
                f"attempts must name known candidates once each, got {given}; the router knows "
                f"{list(positions)}"
            )
        return Spent(
            asked=tuple(positions[name] for name in given),
            cost_usd=sum(attempt.cost_usd for attempt in attempts),
            latency_ms=sum(attempt.latency_ms for attempt in attempts),
        )

    def _posterior(
        self, query: Query, lexical: FloatArray, attempts: Sequence[Attempt], prior: FloatArray
    ) -> FloatArray:
        """Estimates of the answers so far, shape (1, K); the prior where there is no scorer."""
        answers: list[Answer | None] = [None] * prior.shape[1]
        for attempt in attempts:
            answers[self.runtime.positions[attempt.candidate]] = attempt.answer
        answered = np.array([[answer is not None for answer in answers]])
        if self.scorer is None:
            return np.where(answered, prior, np.nan)
        if not answered.any():
            return np.full(answered.shape, np.nan)
        table = AnswerTable.of([query], [answers], lexical=lexical[None], layout=self.scorer.layout)
        return self.scorer.posterior(table)
