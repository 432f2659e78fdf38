"""Methods of the cascade benchmark, fitted on one split and played on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.benchmarks.frugal import FrugalScorers, play, search
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.evaluation import run_cascade
from router_ml.cascade.policies.sequential import Score, ScoreCache, SequentialPolicy
from router_ml.cascade.routing_fit import fit_cascade_routing
from router_ml.cascade.scorer import AnswerScorer
from router_ml.cascade.search import CascadePoint, choose, frontier
from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError
from router_ml.estimators.amounts import AmountEstimator
from router_ml.estimators.base import Estimator
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.queries import QueryBatch

Point = tuple[FloatArray, FloatArray]
"""Quality and dollars of every test query, at one operating point."""
Points = list[Point]

BUDGETS: Final = (0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.65, 0.8, 1.0)
"""Operating points of budgeted methods, in shares of the best single candidate's cost."""
N_WEIGHTS: Final = 32
"""Operating points of methods with a cost weight."""
_STRIDE: Final = {"cascade_routing_exact": 4}
"""Exact sets of twelve candidates take long: fewer operating points."""
_INNER: Final = 4

Option = tuple[SequentialPolicy, float, float]
"""A policy with its mean quality and dollars on the training queries, out of fold."""

Predict = Callable[[AnswerTable, IntArray, IntArray, BoolArray], FloatArray]


@dataclass(frozen=True)
class Inputs:
    """A workload with what is computed once: answers read, queries and answers embedded."""

    data: FullInformation
    table: AnswerTable
    batch: QueryBatch
    answer_embedding: FloatArray


@dataclass(frozen=True)
class Fold:
    """All methods on one split.

    Parameters
    ----------
    test : rows of the workload
    points : by method, over the rows of ``test``
    answer_own, answer_after_two : scorer's estimate of the cheapest undominated candidate's answer,
        alone and beside the two next cheapest candidates' answers (NaN with fewer than three)
    """

    test: IntArray
    points: dict[str, Points]
    answer_own: FloatArray
    answer_after_two: FloatArray


def run_fold(
    inputs: Inputs, train: IntArray, test: IntArray, *, router: Estimator, scorer: AnswerScorer
) -> Fold:
    """Fit everything on ``train``, scorers and priors out of fold there, and play ``test``."""
    data = inputs.data
    scorer.fit(inputs.table.take(train), data.quality[train], groups=data.groups[train])
    fitted, tested = inputs.table.take(train), inputs.table.take(test)
    shape = (data.quality.shape[1],)
    learn = ScoreCache(
        score=table_score(fitted, scorer.predict_out_of_fold), shape=(len(train), *shape)
    )
    play_on = ScoreCache(score=table_score(tested, scorer.predict), shape=(len(test), *shape))
    prior_train = _out_of_fold(inputs, train, router)
    prior_test = _predicted(inputs, train, test, router)
    cost_train, cost_test = (
        _expected_cost(inputs, train)[train],
        _expected_cost(inputs, train)[test],
    )
    best_cost = float(
        data.cost_usd[train, best_constant(data.quality[train], data.cost_usd[train])].mean()
    )

    def played(policy: SequentialPolicy) -> Point:
        return _play(policy, play_on, prior_test, cost_test, data, test)

    front = frontier(learn, data.quality[train], data.cost_usd[train])
    weights = _weights(best_cost)
    routing = {
        "cascade_routing": fit_cascade_routing(learn, prior_train, cost_train),
        "cascade_routing_greedy": fit_cascade_routing(learn, prior_train, cost_train, lookahead=1),
        "cascade_routing_exact": fit_cascade_routing(
            learn, prior_train, cost_train, max_depth=4, lookahead=4
        ),
    }
    points = {
        "router": _routed(prior_test, cost_test, data, test, weights),
        "frugal_gpt": _frugal(inputs, train, test, best_cost),
        "cascade": [played(point.policy) for point in _within(front, best_cost)],
        **{
            name: [played(p.at(weight)) for weight in weights[:: _STRIDE.get(name, 1)]]
            for name, p in routing.items()
        },
    }
    tried: dict[str, list[Option]] = {
        "cascade": [(point.policy, point.quality, point.cost_usd) for point in front],
        "cascade_routing": [],
    }
    for weight in weights:
        at = routing["cascade_routing"].at(weight)
        quality, cost = _play(at, learn, prior_train, cost_train, data, train)
        tried["cascade_routing"].append((at, float(quality.mean()), float(cost.mean())))
    for name, options in tried.items():
        for target, policy in _planned(options, data, train).items():
            points[f"{name}_{target}"] = [played(policy)]
    judged, beside = judged_answers(data, train)
    rows = np.arange(len(test))
    who = np.full(len(test), judged)
    seen = np.zeros((len(test), *shape), dtype=bool)
    alone = scorer.predict(tested, rows, who, seen.copy())
    seen[:, beside] = True
    after = scorer.predict(tested, rows, who, seen)
    return Fold(test, points, alone, after if len(beside) == 2 else np.full(len(test), np.nan))


def table_score(table: AnswerTable, predict: Predict) -> Score:
    """A table's answers behind the interface that cascade policies ask."""

    def score(rows: IntArray, asked: BoolArray) -> FloatArray:
        out = np.full(asked.shape, np.nan)
        i, j = np.nonzero(asked)
        out[i, j] = predict(table, rows[i], j, asked[i])
        return out

    return score


def counts_strong_calls(data: FullInformation) -> bool:
    """Whether cost is the share of strong calls: the cheapest candidate costs nothing."""
    return bool(data.cost_usd.mean(axis=0).min() == 0.0)


def judged_answers(data: FullInformation, rows: IntArray) -> tuple[int, list[int]]:
    """The cheapest candidate, and the two next cheapest whose answers stand beside its own."""
    order = np.argsort(data.cost_usd[rows].mean(axis=0), kind="stable").tolist()
    return order[0], order[1:3]


def _play(
    policy: SequentialPolicy,
    score: ScoreCache,
    prior: FloatArray,
    expected_cost: FloatArray,
    data: FullInformation,
    rows: IntArray,
) -> Point:
    run = run_cascade(
        policy,
        score,
        prior=prior,
        expected_cost_usd=expected_cost,
        quality=data.quality[rows],
        cost_usd=data.cost_usd[rows],
    )
    return run.quality, run.cost_usd


def _planned(
    options: Sequence[Option], data: FullInformation, train: IntArray
) -> dict[str, SequentialPolicy]:
    """One operating point a target, chosen on the training queries alone.

    ``at_budget``: most quality at no more than the best single candidate's cost; ``at_floor``:
    least cost at its quality (at 95 % of it where cost is the share of strong calls).
    """
    best = best_constant(data.quality[train], data.cost_usd[train])
    budget = float(data.cost_usd[train, best].mean())
    floor = float(data.quality[train, best].mean()) * (0.95 if counts_strong_calls(data) else 1.0)
    within = [option for option in options if option[2] <= budget]
    reaching = [option for option in options if option[1] >= floor]
    most = max(within or options, key=lambda option: (option[1], -option[2]))
    least = min(reaching, key=lambda option: (option[2], -option[1]), default=most)
    return {"at_budget": most[0], "at_floor": least[0]}


def _weights(best_cost: float) -> list[float]:
    weights: list[float] = np.geomspace(3e-3 / best_cost, 8.0 / best_cost, N_WEIGHTS).tolist()
    return weights


def _within(front: Sequence[CascadePoint], best_cost: float) -> list[CascadePoint]:
    """A point of the front per budget; the cheapest where a budget is below it."""
    out = []
    for share in BUDGETS:
        try:
            out.append(choose(front, budget_usd=share * best_cost))
        except ConfigError:
            out.append(min(front, key=lambda point: point.cost_usd))
    return out


def _routed(
    prior: FloatArray,
    expected: FloatArray,
    data: FullInformation,
    test: IntArray,
    weights: Sequence[float],
) -> Points:
    """Plain routing: highest predicted utility, one answer."""
    out = []
    rows = np.arange(len(test))
    for weight in weights:
        pick = (prior - weight * expected).argmax(axis=1)
        out.append((data.quality[test][rows, pick], data.cost_usd[test][rows, pick]))
    return out


def _frugal(inputs: Inputs, train: IntArray, test: IntArray, best_cost: float) -> Points:
    data = inputs.data
    query, answer = inputs.batch.embedding, inputs.answer_embedding
    scorers = FrugalScorers().fit(query[train], answer[train], data.quality[train])
    front = search(
        scorers.predict(query[train], answer[train]), data.quality[train], data.cost_usd[train]
    )
    scores = scorers.predict(query[test], answer[test])
    out = []
    for share in BUDGETS:
        fit = [c for c in front if c.cost_usd <= share * best_cost] or front[:1]
        best = max(fit, key=lambda cascade: cascade.quality)
        out.append(
            play(best.order, best.thresholds, scores, data.quality[test], data.cost_usd[test])
        )
    return out


def _predicted(inputs: Inputs, train: IntArray, test: IntArray, router: Estimator) -> FloatArray:
    data = inputs.data
    fitted = router.clone().fit(
        inputs.batch.take(train),
        data.quality[train],
        candidates=data.candidates,
        groups=data.groups[train],
    )
    return fitted.predict(inputs.batch.take(test), data.candidates)


def _out_of_fold(inputs: Inputs, train: IntArray, router: Estimator) -> FloatArray:
    out = np.zeros((len(train), len(inputs.data.candidates)))
    for fold in range(_INNER):
        inside = inputs.data.groups[train] % _INNER == fold
        out[inside] = _predicted(inputs, train[~inside], train[inside], router)
    return out


def _expected_cost(inputs: Inputs, train: IntArray) -> FloatArray:
    """Predicted dollars of every query, from token counts learned on ``train``."""
    data, table = inputs.data, inputs.data.candidates
    fit = inputs.batch.take(train)
    tokens_in = AmountEstimator(link="identity").fit(
        fit, data.input_tokens[train], candidates=table
    )
    tokens_out = AmountEstimator(link="log").fit(fit, data.output_tokens[train], candidates=table)
    return table.cost_usd(
        tokens_in.predict(inputs.batch, table), tokens_out.predict(inputs.batch, table)
    )
