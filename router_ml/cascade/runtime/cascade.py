"""A query and the answers so far to the next step: accept one, or ask whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from router_ml.bundle.files import Bundle
from router_ml.cascade.answers.columns import OWN_NAMES
from router_ml.cascade.answers.table import AGREEMENT_NAMES, AnswerTable
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.policies.sequential import ACCEPT, SequentialPolicy, best_answer
from router_ml.cascade.runtime.scorer import AnswerRuntime
from router_ml.errors import BundleError, InvalidRequestError
from router_ml.features.lexical import lexical_features
from router_ml.features.query import Query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import NO_CONSTRAINTS, Runtime
from router_ml.types.arrays import BoolArray, FloatArray

ANSWER: Final = "answer.onnx"
CASCADE: Final = "cascade.json"
POLICIES: Final[Mapping[str, type[CascadePolicy] | type[CascadeRoutingPolicy]]] = {
    policy.name: policy for policy in (CascadePolicy, CascadeRoutingPolicy)
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate's turn.

    Parameters
    ----------
    candidate : name
    text : the answer; ``None`` if the candidate failed or timed out
    cost_usd, latency_ms : what it took, if known
    finish_reason : as the provider gave it, such as ``"length"``
    """

    candidate: str
    text: str | None
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do now.

    Parameters
    ----------
    action : ``"accept"`` or ``"escalate"``
    candidate : whose answer to accept, or whom to ask
    quality : estimated quality of the answer accepted; when escalating, of the best so far (0
        without any)
    expected_gain, expected_cost_usd : of going on; 0 when accepting
    estimates : estimated quality of each answer so far, by candidate
    reason : one sentence for a person
    """

    action: Literal["accept", "escalate"]
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: Mapping[str, float]
    reason: str


class CascadeRuntime:
    """Steps of a cascade; immutable, safe to call from several threads.

    Without an answer scorer in the bundle it is plain routing: the router's choice is asked, and
    its answer accepted.

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
        self._positions = {name: k for k, name in enumerate(runtime.candidates.names)}
        if ANSWER in bundle.files and CASCADE in bundle.files:
            spec = json.loads(bundle.files[CASCADE])
            if spec.get("columns") != columns():
                raise BundleError(
                    "the bundle's answer columns are not those of this release: export it again"
                )
            self.scorer = AnswerRuntime(
                graph=bundle.files[ANSWER], n_candidates=len(runtime.candidates)
            )
            self.policy = policy_from_dict(spec["policy"] if policy is None else policy)

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
            spent, ``min_quality`` accepts an answer that reaches it
        max_depth : most attempts, failed ones included

        Raises
        ------
        InvalidRequestError
            If a candidate is unknown or stands twice, or nobody is left to ask and no answer came.
        """
        names = self.runtime.candidates.names
        tried = self._tried(attempts)
        lexical = lexical_features(query)
        predictions = self.runtime.predict_one(query, lexical)
        cost = self.runtime.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        posterior = self._posterior(query, lexical, attempts, predictions.quality)
        positions, bests = best_answer(posterior)
        position, best = int(positions[0]), float(bests[0])
        blocked = self._blocked(attempts, constraints, cost, predictions.latency_ms, tried)
        if max_depth is not None and len(attempts) >= max_depth:
            blocked[:] = True
        action, gain, price = self._step(
            predictions.quality, cost, posterior, blocked, constraints, best
        )
        estimates = {
            names[k]: float(posterior[0, k]) for k in np.flatnonzero(~np.isnan(posterior[0]))
        }
        if action == ACCEPT and position < 0:
            raise InvalidRequestError(
                "no answer came and nobody is left to ask within the limits; relax them"
            )
        if action == ACCEPT:
            name = names[position]
            return NextStep(
                "accept", name, best, 0.0, 0.0, estimates, f"{name}'s answer is worth accepting"
            )
        why = f"an answer of {names[action]} is expected to gain {gain:.3f} for ${price:.3g}"
        return NextStep("escalate", names[action], best, gain, price, estimates, why)

    def _tried(self, attempts: Sequence[Attempt]) -> list[int]:
        given = [attempt.candidate for attempt in attempts]
        unknown = [name for name in given if name not in self._positions]
        if unknown or len(set(given)) != len(given):
            raise InvalidRequestError(
                f"attempts must name known candidates once each, got {given}; the router knows "
                f"{list(self._positions)}"
            )
        return [self._positions[name] for name in given]

    def _posterior(
        self, query: Query, lexical: FloatArray, attempts: Sequence[Attempt], prior: FloatArray
    ) -> FloatArray:
        """Estimates of the answers so far, shape (1, K); the prior where there is no scorer."""
        texts: list[str | None] = [None] * len(self._positions)
        reasons = [""] * len(texts)
        for attempt in attempts:
            texts[self._positions[attempt.candidate]] = attempt.text
            reasons[self._positions[attempt.candidate]] = attempt.finish_reason
        if self.scorer is None:
            answered = np.array([[text is not None for text in texts]])
            return np.where(answered, prior, np.nan)
        if not any(text is not None for text in texts):
            return np.full((1, len(texts)), np.nan)
        table = AnswerTable.of([query], [texts], finish_reasons=[reasons], lexical=lexical[None])
        return self.scorer.posterior(table)

    def _blocked(
        self,
        attempts: Sequence[Attempt],
        constraints: Constraints,
        cost: FloatArray,
        latency_ms: FloatArray,
        tried: Sequence[int],
    ) -> BoolArray:
        """Candidates that may not be asked now, shape (1, K)."""
        blocked = np.zeros(cost.shape, dtype=bool)
        blocked[0, list(tried)] = True
        if constraints.candidates is not None:
            unknown = [name for name in constraints.candidates if name not in self._positions]
            if unknown:
                raise InvalidRequestError(
                    f"unknown candidates {unknown}; the router knows {list(self._positions)}"
                )
            allowed = [self._positions[name] for name in constraints.candidates]
            blocked[0, np.setdiff1d(np.arange(cost.shape[1]), allowed)] = True
        if constraints.max_cost_usd is not None:
            spent = sum(attempt.cost_usd for attempt in attempts)
            blocked |= spent + cost > constraints.max_cost_usd
        if constraints.max_latency_ms is not None:
            waited = sum(attempt.latency_ms for attempt in attempts)
            blocked |= waited + latency_ms > constraints.max_latency_ms
        return blocked

    def _step(
        self,
        prior: FloatArray,
        cost: FloatArray,
        posterior: FloatArray,
        blocked: BoolArray,
        constraints: Constraints,
        best: float,
    ) -> tuple[int, float, float]:
        """Action, expected gain, expected dollars."""
        answered = bool((~np.isnan(posterior)).any())
        floor = constraints.min_quality
        if answered and floor is not None and best >= floor:
            return ACCEPT, 0.0, 0.0
        policy = self.policy
        if policy is None:
            return self._routed(prior, cost, blocked, answered)
        if constraints.cost_weight is not None and isinstance(policy, CascadeRoutingPolicy):
            policy = policy.at(constraints.cost_weight)
        step = policy.step(prior, cost, posterior, blocked)
        action = int(step.action[0])
        if action == ACCEPT and not answered and not blocked.all():
            return self._routed(prior, cost, blocked, answered)
        return action, float(step.gain[0]), float(step.cost_usd[0])

    def _routed(
        self, prior: FloatArray, cost: FloatArray, blocked: BoolArray, answered: bool
    ) -> tuple[int, float, float]:
        """Plain routing among those who may be asked, while there is no answer."""
        if answered or blocked.all():
            return ACCEPT, 0.0, 0.0
        weight = self.runtime.policy.weights[0]
        utility = np.where(blocked, -np.inf, prior - weight * cost)[0]
        action = int(utility.argmax())
        return action, float(prior[0, action]), float(cost[0, action])


def columns() -> list[str]:
    """Answer columns of this release that do not depend on the candidates."""
    return [*OWN_NAMES, *AGREEMENT_NAMES]


def cascade_files(policy: SequentialPolicy, graph: bytes) -> dict[str, bytes]:
    """Extra files of a bundle that holds a cascade; see ``BundleContents.extras``."""
    spec = {"policy": policy.to_dict(), "columns": columns()}
    return {ANSWER: graph, CASCADE: json.dumps(spec, indent=1).encode()}


def policy_from_dict(spec: Mapping[str, Any]) -> SequentialPolicy:
    """Build a cascade policy from what its ``to_dict`` gave; BundleError if there is none such."""
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in POLICIES:
        raise BundleError(f"cascade policy must be one of {', '.join(POLICIES)}, got {name!r}")
    try:
        return POLICIES[name](**arguments)
    except TypeError as error:
        raise BundleError(f"cascade policy {name!r} does not take {arguments}: {error}") from error
