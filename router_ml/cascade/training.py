"""From a log's answers to a trained cascade: scorer, policy, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.metrics import roc_auc_score

from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.completion import AnswerWorld
from router_ml.cascade.evaluation import CascadeRun, run_cascade, solve
from router_ml.cascade.floor import MIN_Z, Floored, with_floor
from router_ml.cascade.grid import MAX_DEPTH
from router_ml.cascade.policies.sequential import ScoreCache, SequentialPolicy
from router_ml.cascade.routing_fit import fit_cascade_routing
from router_ml.cascade.scorer import AnswerScorer
from router_ml.cascade.search import search_cascade
from router_ml.cascade.spec import CascadeConfig
from router_ml.data.outcomes import TrainingTable
from router_ml.errors import SchemaError
from router_ml.evaluation.off_policy.weighting import inverse_probability_weight
from router_ml.features.query import Query
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray

_MIN_LABELLED: Final = 50
"""Fewer labelled answers teach no scorer; a person has to know before it is shipped."""


@dataclass(frozen=True, slots=True)
class LoggedAnswers:
    """One answer a query and candidate, of those that the log has; arrays of shape (n, K).

    Parameters
    ----------
    table : the answers, read
    quality : label of that very answer, NaN where it has none
    weight : of the label
    """

    table: AnswerTable
    quality: FloatArray
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class TrainedCascade:
    """Scorer and policy, and the report a person reads."""

    scorer: AnswerScorer
    policy: SequentialPolicy
    report: Mapping[str, Any]


def logged_answers(
    table: TrainingTable,
    queries: tuple[Query, ...],
    index: IntArray,
    *,
    layout: AnswerLayout | None = None,
) -> LoggedAnswers:
    """Answers of the queries at ``index``, positions in the sorted distinct ``query_id``.

    Where a candidate answered a query several times, a labelled answer stands for it, the latest
    among several. ``layout`` says how they are read; default: by all readers of this release.
    """
    distinct, code = np.unique(np.array(table.query_id), return_inverse=True)
    place = np.full(len(distinct), -1)
    place[index] = np.arange(len(index))
    shape = (len(index), len(table.candidates))
    texts: list[list[str | None]] = [[None] * shape[1] for _ in range(shape[0])]
    reasons = [[""] * shape[1] for _ in range(shape[0])]
    quality, weight = np.full(shape, np.nan), np.zeros(shape)
    label_weight = table.weight * inverse_probability_weight(table)
    usable = (place[code] >= 0) & (table.served >= 0) & table.succeeded
    order = np.lexsort((table.time, np.isfinite(table.quality)))
    for r in order[usable[order]].tolist():
        text = table.answer[r]
        if text is None:
            continue
        i, k = int(place[code[r]]), int(table.served[r])
        texts[i][k], reasons[i][k] = text, table.finish_reason[r]
        quality[i, k], weight[i, k] = table.quality[r], label_weight[r]
    answers = AnswerTable.of(
        [queries[i] for i in index], texts, finish_reasons=reasons, layout=layout
    )
    return LoggedAnswers(answers, quality, np.where(np.isfinite(quality), weight, 0.0))


def train_cascade(
    spec: CascadeConfig,
    answers: LoggedAnswers,
    *,
    groups: IntArray,
    prior: FloatArray,
    cost_usd: FloatArray,
) -> TrainedCascade:
    """Fit the scorer, complete the log by donors, search the policy on out-of-fold estimates.

    Parameters
    ----------
    groups : int codes, shape (n,), kept together in folds
    prior : out-of-fold qualities, shape (n, K)
    cost_usd : expected dollars, shape (n, K)

    Raises
    ------
    SchemaError
        If the log has too few labelled answers.
    ConfigError
        If the target cannot be met.
    """
    labelled = answers.table.known & np.isfinite(answers.quality)
    if labelled.sum() < _MIN_LABELLED:
        raise SchemaError(
            f"a cascade needs at least {_MIN_LABELLED} labelled answers in the training split, got "
            f"{int(labelled.sum())}: does the log keep its answers (`request_fields.answer`)?"
        )
    scorer = AnswerScorer(**spec.scorer).fit(
        answers.table, answers.quality, groups=groups, sample_weight=answers.weight
    )
    world = AnswerWorld.complete(
        scorer, answers.table, quality=answers.quality, cost_usd=cost_usd, prior=prior
    )
    cache = ScoreCache(score=world.score, shape=world.quality.shape)
    budget = _budget(spec, world)
    policy = _search(spec, budget, cache, world, prior)
    run = _play(policy, cache, world, prior)
    report: dict[str, Any] = {}
    if budget is not None:
        floored = with_floor(policy, run, world.quality, world.cost_usd, groups, budget_usd=budget)
        report = _floor_report(floored)
        if floored.policy is not policy:
            policy, run = floored.policy, _play(floored.policy, cache, world, prior)
    return TrainedCascade(scorer, policy, {**_report(scorer, answers, world, run), **report})


def _budget(spec: CascadeConfig, world: AnswerWorld) -> float | None:
    """Dollars a request, where the target is a budget."""
    if spec.cost_share is None:
        return spec.budget_usd
    best = best_constant(world.quality, world.cost_usd)
    return spec.cost_share * float(world.cost_usd[:, best].mean())


def _floor_report(floored: Floored) -> dict[str, Any]:
    """How far the cascade is above the hull, and a sentence where that is not far enough."""
    told: dict[str, Any] = {"floor_z": round(floored.z, 2)}
    if floored.z < MIN_Z:
        told["note"] = (
            "no cascade is shown to beat constants that cost the same "
            f"(z = {floored.z:.1f}, needed {MIN_Z:g}): one candidate answers every request"
        )
    return told


def _search(
    spec: CascadeConfig,
    budget: float | None,
    cache: ScoreCache,
    world: AnswerWorld,
    prior: FloatArray,
) -> SequentialPolicy:
    if spec.name == "cascade":
        return search_cascade(
            cache,
            world.quality,
            world.cost_usd,
            budget_usd=budget,
            min_quality=spec.min_quality,
            max_depth=spec.max_depth or MAX_DEPTH,
        )
    depth = {} if spec.max_depth is None else {"max_depth": spec.max_depth}
    policy = fit_cascade_routing(cache, prior, world.cost_usd, **depth)
    if budget is None:
        return policy.at(spec.cost_weight or 0.0)
    return solve(
        policy,
        lambda tried: float(_play(tried, cache, world, prior).cost_usd.mean()),
        budget_usd=budget,
    )


def _play(
    policy: SequentialPolicy, cache: ScoreCache, world: AnswerWorld, prior: FloatArray
) -> CascadeRun:
    return run_cascade(
        policy,
        cache,
        prior=prior,
        expected_cost_usd=world.cost_usd,
        quality=world.quality,
        cost_usd=world.cost_usd,
    )


def _report(
    scorer: AnswerScorer, answers: LoggedAnswers, world: AnswerWorld, run: CascadeRun
) -> dict[str, Any]:
    table = answers.table
    query, candidate = np.nonzero(table.known & np.isfinite(answers.quality))
    right = answers.quality[query, candidate] > 0.5
    none = np.zeros((len(query), table.n_candidates), dtype=bool)
    scored = {"alone": none, "beside": table.known[query]}
    agreement = (
        "learned"
        if scorer.agreement_learned_
        else "not learned: the log has one answer a query, which cannot show it"
    )
    return {
        "answers": int(table.known.sum()),
        "labelled_answers": len(query),
        "queries": len(table),
        "agreement": agreement,
        "answer_auc": {
            name: round(
                float(
                    roc_auc_score(right, scorer.predict_out_of_fold(table, query, candidate, seen))
                ),
                4,
            )
            for name, seen in scored.items()
            if 0 < right.sum() < len(right)
        },
        "lent_share": round(world.lent_share, 4),
        "expected": {
            "quality": round(float(run.quality.mean()), 4),
            "cost_usd": float(run.cost_usd.mean()),
            "answers_a_query": round(float(run.depth.mean()), 3),
        },
    }
