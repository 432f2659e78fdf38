"""Bundle to predictions to decision: the one scoring path.

The service, ``evaluate``, the MLflow flavour and every plug-in call this class; there is no other
way from a bundle to a number.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from router_ml.bundle.files import Bundle, candidates_from, read_bundle
from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query
from router_ml.policies.base import Policy, with_least
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.quality_floor import QualityFloorPolicy
from router_ml.policies.registry import dearer, from_dict
from router_ml.runtime.capabilities import Abilities
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints, fits_context
from router_ml.runtime.scorer import Scorer
from router_ml.runtime.spent import NOTHING, Spent
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.decisions import Decision, RankedCandidate, Removal
from router_ml.types.predictions import Predictions

_Notes = tuple[tuple[Removal, ...], tuple[str, ...]]
"""``removed`` and ``unchecked`` of a decision."""


class Runtime:
    """An immutable scorer; safe to call from several threads.

    Parameters
    ----------
    bundle : as :func:`router_ml.bundle.files.read_bundle` verified it
    policy : replaces the bundle's policy, as ``Policy.to_dict()`` gives it
    prices : replaces the bundle's prices, as ``prices.json`` holds them
    random_state : seeds the draws of policies that randomise; ``None`` = fresh entropy

    Raises
    ------
    BundleError
        If the graph's inputs or outputs are not those of the format.
    ConfigError
        If an override is wrong.
    """

    def __init__(
        self,
        *,
        bundle: Bundle,
        policy: Mapping[str, Any] | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        random_state: int | None = None,
    ) -> None:
        manifest = bundle.manifest
        self._scorer = Scorer(bundle=bundle)
        self.manifest = manifest
        self.candidates: CandidateTable = (
            bundle.candidates if prices is None else candidates_from(manifest.candidates, prices)
        )
        self.policy: Policy = from_dict(bundle.policy if policy is None else policy)
        self.override_digest = _digest(policy, prices)
        self.prices_caches = self.candidates.prices_caches
        self.provider_of = self.candidates.provider_of
        self.positions = {name: k for k, name in enumerate(self.candidates.names)}
        self._rng = np.random.default_rng(random_state)
        self._abilities = Abilities(self.candidates.capabilities)

    @property
    def is_slow(self) -> bool:
        """Whether one query takes milliseconds: a sentence encoder, not a static one alone."""
        return self._scorer.is_slow

    def predict(
        self, queries: Sequence[Query], *, progress: Callable[[int], None] | None = None
    ) -> Predictions:
        """Score many queries, in batches; arrays of shape (n_samples, K)."""
        return self._scorer.predict(queries, progress=progress)

    def embeddings(self, queries: Sequence[Query]) -> FloatArray | None:
        """What the graph makes of queries, shape (n_samples, d); ``None`` of an older bundle."""
        return self._scorer.embeddings(queries)

    def predict_one(self, query: Query, lexical: FloatArray | None = None) -> Predictions:
        """Score one query; arrays of shape (1, K).

        ``lexical``, all columns of this release, is not made again if known.
        """
        return self._scorer.predict_one(query, lexical)

    @classmethod
    def from_folder(cls, folder: Path, **options: Any) -> Runtime:
        """Verify and load a bundle folder; ``options`` as for the class."""
        return cls(bundle=read_bundle(folder), **options)

    def overridden(
        self,
        *,
        policy: Mapping[str, Any] | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Runtime:
        """The same scorer with another policy or other prices, of which it shares the graph.

        Raises
        ------
        ConfigError
            If an override is wrong.
        """
        other = copy.copy(self)
        if policy is not None:
            other.policy = from_dict(policy)
        if prices is not None:
            other.candidates = candidates_from(self.manifest.candidates, prices)
            other.prices_caches = other.candidates.prices_caches
        other.override_digest = _digest(policy, prices)
        return other

    def decide(self, query: Query, constraints: Constraints = NO_CONSTRAINTS) -> Decision:
        """Choose a candidate for one query.

        Raises
        ------
        InvalidRequestError
            If the constraints are contradictory or leave nobody.
        ScorerUnavailableError
            If the graph fails.
        """
        return self.choose(self.predict_one(query), constraints.of(query))

    def choose(
        self,
        predictions: Predictions,
        constraints: Constraints = NO_CONSTRAINTS,
        spent: Spent = NOTHING,
    ) -> Decision:
        """Apply constraints and policy to one query's predictions, shape (1, K).

        ``constraints`` are those of the request and of its query: ``Constraints.of(query)``.
        ``spent`` is what earlier turns of the request took: a cascade's, where a candidate failed.
        """
        predictions, cost_usd = self.priced(predictions, constraints)
        what = (self.positions, self.candidates, predictions, cost_usd, spent)
        eligible = constraints.eligible(*what)
        removed = () if eligible.all() else constraints.removed(*what)
        policy, reason = self.policy_for(constraints)
        _, unchecked = self._abilities.of(constraints.requires)
        if constraints.max_ttft_ms is not None and not constraints.conditions.ttft_ms:
            unchecked = (*unchecked, "ttft")
        explored = constraints.conditions.explored
        if explored:
            reason += f"; {', '.join(explored)} explored"
        return self._decisions(
            policy, reason, predictions, cost_usd, eligible, [(removed, unchecked)], explored
        )[0]

    def priced(
        self, predictions: Predictions, constraints: Constraints = NO_CONSTRAINTS
    ) -> tuple[Predictions, FloatArray]:
        """Predictions, output tokens capped, and the dollars of them, shape (n_samples, K)."""
        capped = constraints.capped(predictions)
        cost_usd = constraints.conditions.cost_usd(
            self.candidates, capped.input_tokens, capped.output_tokens
        )
        return capped, cost_usd

    def choose_each(
        self, predictions: Predictions, constraints: Sequence[Constraints]
    ) -> list[Decision | InvalidRequestError]:
        """Choose for many queries, each with its constraints; an error in the place of a decision.

        Parameters
        ----------
        predictions : arrays of shape (n_samples, K)
        constraints : n_samples of them, each with what its query needs (``Constraints.of``);
            :data:`NO_CONSTRAINTS` throughout is fastest
        """
        if all(c.is_plain for c in constraints):
            able = [self._abilities.of(c.requires) for c in constraints]
            fits = fits_context(self.candidates, predictions.input_tokens)
            for row, (mask, _) in zip(fits, able, strict=True):
                if mask is not None:
                    row &= mask[0]
            if fits.any(axis=1).all():
                table = self.candidates
                cost_usd = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
                notes: list[_Notes] = [((), unchecked) for _, unchecked in able]
                if not fits.all():
                    notes = self._removals(predictions, cost_usd, constraints, notes)
                reason = self.policy.reason
                return [*self._decisions(self.policy, reason, predictions, cost_usd, fits, notes)]
        out: list[Decision | InvalidRequestError] = []
        for row, limits in zip(predictions.rows(), constraints, strict=True):
            try:
                out.append(self.choose(row, limits))
            except InvalidRequestError as error:
                out.append(error)
        return out

    def _removals(
        self,
        predictions: Predictions,
        cost_usd: FloatArray,
        constraints: Sequence[Constraints],
        notes: Sequence[_Notes],
    ) -> list[_Notes]:
        """The notes, with those who may not answer each query."""
        rows = zip(predictions.rows(), constraints, notes, strict=True)
        return [
            (limits.removed(self.positions, self.candidates, row, cost_usd[i : i + 1]), unchecked)
            for i, (row, limits, (_, unchecked)) in enumerate(rows)
        ]

    def _decisions(
        self,
        policy: Policy,
        reason: str,
        predictions: Predictions,
        cost_usd: FloatArray,
        eligible: BoolArray,
        notes: Sequence[_Notes],
        explored: Mapping[str, float] | None = None,
    ) -> list[Decision]:
        """One decision a row. Python numbers, because numpy's cost more than the arithmetic."""
        names = self.candidates.names
        cost_weight, latency_weight = policy.weights
        utility = predictions.quality - cost_weight * cost_usd
        if latency_weight:
            utility = utility - latency_weight * predictions.latency_ms
        probs, ranking = policy.decide(predictions, self.candidates, cost_usd, eligible)
        if explored:
            probs = with_least(probs, [explored.get(name, 0.0) for name in names], eligible)
        arrays = (predictions.quality, cost_usd, predictions.latency_ms, utility, probs, ranking)
        numbers = [array.tolist() for array in arrays]
        allowed = np.count_nonzero(eligible, axis=1).tolist()
        decisions = []
        for i, (n, p, order, note, *columns) in enumerate(
            zip(allowed, *numbers[4:], notes, *numbers[:4], strict=True)
        ):
            lines = [*map(RankedCandidate, names, *columns)]
            draw = None if p[order[0]] == 1.0 else self._rng.random()
            chosen = order[0] if draw is None else drawn(p, draw)
            removed, unchecked = note
            said = f"; {len(names) - n} of {len(names)} ruled out" if n < len(names) else ""
            if unchecked:
                said += f"; no candidate declares {', '.join(unchecked)}"
            decisions.append(
                Decision(
                    candidate=names[chosen],
                    ranking=tuple([lines[k] for k in order[:n]]),
                    action_probs=tuple(p),
                    propensity=p[chosen],
                    policy=policy.name,
                    reason=reason + said,
                    removed=removed,
                    unchecked=unchecked,
                    draw=draw,
                    expected_tokens=(
                        float(predictions.input_tokens[i, chosen]),
                        float(predictions.output_tokens[i, chosen]),
                    ),
                )
            )
        return decisions

    def policy_for(self, constraints: Constraints) -> tuple[Policy, str]:
        """The policy that decides within constraints, and one clause for a person."""
        conditions = constraints.conditions
        if conditions.spent_budget:
            why = f"the cheapest, because the budget {conditions.spent_budget} is spent"
            return QualityFloorPolicy(min_quality=0.0), why
        policy, reason = self._asked_policy(constraints)
        if extra := conditions.extra_cost_weight:
            return dearer(policy, extra), f"{reason}, {extra:.3g} more weight on cost for a budget"
        return policy, reason

    def _asked_policy(self, constraints: Constraints) -> tuple[Policy, str]:
        if constraints.cost_weight is not None:
            weight = constraints.cost_weight
            return CostAwarePolicy(cost_weight=weight), f"highest utility at cost_weight {weight:g}"
        if constraints.min_quality is not None:
            floor = constraints.min_quality
            return QualityFloorPolicy(min_quality=floor), f"cheapest that reaches quality {floor:g}"
        return self.policy, self.policy.reason


def drawn(probs: Sequence[float], uniform: float) -> int:
    """Position that a uniform number in [0, 1) draws; one of probability zero is never drawn."""
    last = 0
    for k, prob in enumerate(probs):
        if prob > 0.0:
            last = k
            if uniform < prob:
                break
            uniform -= prob
    return last


def _digest(policy: Any, prices: Any) -> str:
    """Hash of the overrides, ``""`` without any; it stands in every decision."""
    if policy is None and prices is None:
        return ""
    text = json.dumps([policy, prices], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
