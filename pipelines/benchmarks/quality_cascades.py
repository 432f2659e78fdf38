"""Cascades at the budgets of the quality benchmark: fixed in training, played on test rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.benchmarks.cascade_methods import table_score
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.completion import AnswerWorld
from router_ml.cascade.evaluation import CascadeRun, run_cascade
from router_ml.cascade.floor import with_floor
from router_ml.cascade.policies.sequential import Score, ScoreCache, SequentialPolicy
from router_ml.cascade.routing_fit import fit_cascade_routing
from router_ml.cascade.scorer import AnswerScorer
from router_ml.cascade.search import frontier
from router_ml.cascade.training import LoggedAnswers, logged_answers
from router_ml.data.full_information import FullInformation
from router_ml.data.outcomes import read_outcomes, to_matrices
from router_ml.estimators.base import Estimator
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.hull import Gain, Hull
from router_ml.learning.decisions import SHARES, Played
from router_ml.learning.held_out import fit_router, held_out_predictions
from router_ml.learning.targets import evidence_of
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch

CASCADE: Final = "cascade"
CASCADE_ROUTING: Final = "cascade_routing"
METHODS: Final = (CASCADE, CASCADE_ROUTING)
PICKED: Final = (0.05, 0.25, 0.5, 1.0)
N_WEIGHTS: Final = 24
"""Cost weights that cascade routing is tried at in training."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a cascade may use in training; arrays of shape (n, K).

    Parameters
    ----------
    score : estimates of answers, each by a scorer that had not seen its prompt
    quality, cost_usd : of every answer; on a log completed by donors
    prior : predicted quality before any answer, out of fold
    expected_usd : predicted cost
    groups : int codes, shape (n,)
    """

    score: Score
    quality: FloatArray
    cost_usd: FloatArray
    prior: FloatArray
    expected_usd: FloatArray
    groups: IntArray

    def play(self, policy: SequentialPolicy) -> CascadeRun:
        """What a policy comes to on the training rows."""
        return run_cascade(
            policy,
            self.score,
            prior=self.prior,
            expected_cost_usd=self.expected_usd,
            quality=self.quality,
            cost_usd=self.cost_usd,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What it meets in the test; arrays of shape (n, K).

    Parameters
    ----------
    table : all answers, of which it sees those that it asks for
    truth : what they are worth and cost
    prior, expected_usd : as :class:`Known` has them
    """

    table: AnswerTable
    truth: FullInformation
    prior: FloatArray
    expected_usd: FloatArray


def play_fold(
    data: TrainingSet,
    quality: Estimator,
    answers: AnswerTable | LoggedAnswers,
    asked: AnswerTable,
    truth: FullInformation,
    batch: QueryBatch,
) -> dict[str, Played]:
    """Fit router and scorer on training rows, and play both cascades on test rows.

    Parameters
    ----------
    data : training rows, of a log or of full information
    quality : unfitted estimator of what is expected before any answer
    answers : of the training rows; of a log those that it has, and the others are lent by donors
    asked, truth, batch : answers, outcomes and features of the test rows
    """
    router = fit_router(data, quality)
    held_out = held_out_predictions(router, data)
    inside = router.predict(data.batch, data.candidates) if held_out is None else held_out
    outside = router.predict(batch, data.candidates)
    expected, ahead = (
        data.candidates.cost_usd(p.input_tokens, p.output_tokens) for p in (inside, outside)
    )
    if isinstance(answers, LoggedAnswers):
        scorer, known = from_log(answers, data.groups, inside.quality, expected)
        means = evidence_of(data, inside.quality).means()
    else:
        outcomes = data.outcomes
        cost = data.candidates.cost_usd(outcomes.input_tokens, outcomes.output_tokens)
        scorer = AnswerScorer().fit(answers, outcomes.quality, groups=data.groups)
        score = table_score(answers, scorer.predict_out_of_fold)
        known = Known(score, outcomes.quality, cost, inside.quality, expected, data.groups)
        means = outcomes.quality.mean(axis=0)
    hull = Hull.of(means, known.cost_usd.mean(axis=0))
    reference = float(known.cost_usd[:, int(np.argmax(means))].mean())
    test = Asked(asked, truth, outside.quality, ahead)
    return play_cascades(scorer, known, test, hull=hull, reference_usd=reference)


def from_log(
    answers: LoggedAnswers, groups: IntArray, prior: FloatArray, expected_usd: FloatArray
) -> tuple[AnswerScorer, Known]:
    """Fit a scorer on the answers that a log has, and lend answers where it has none."""
    scorer = AnswerScorer().fit(
        answers.table, answers.quality, groups=groups, sample_weight=answers.weight
    )
    world = AnswerWorld.complete(
        scorer, answers.table, quality=answers.quality, cost_usd=expected_usd, prior=prior
    )
    known = Known(world.score, world.quality, world.cost_usd, prior, expected_usd, groups)
    return scorer, known


def log_answers(joined: Path, log: TrainingSet) -> Callable[[IntArray], LoggedAnswers]:
    """Answers of a joined log for some rows of its training set."""
    table = to_matrices(read_outcomes(joined), log.candidates.names)
    return lambda rows: logged_answers(table, log.queries, rows)


def picked(played: Played, price: float) -> list[float]:
    """Quality at :data:`PICKED` shares of a price, operating points picked on the tested rows."""
    curve = Curve(played.cost_usd.mean(axis=0), played.quality.mean(axis=0)).hull()
    return [curve.quality_up_to(share * price) for share in PICKED]


def play_cascades(
    scorer: AnswerScorer, known: Known, asked: Asked, *, hull: Hull, reference_usd: float
) -> dict[str, Played]:
    """Both kinds of cascade at every budget.

    A budget is met by the point of most quality among those that cost no more on the training rows;
    below the cheapest point it is that. Where that point is not shown to be above the hull there,
    it is a constant.

    Parameters
    ----------
    hull : constants of the training rows
    reference_usd : what the best constant costs there; budgets are shares of it
    """
    cache = ScoreCache(score=known.score, shape=known.quality.shape)
    known = replace(known, score=cache)
    seen = ScoreCache(
        score=table_score(asked.table, scorer.predict), shape=asked.truth.quality.shape
    )

    def played(policy: SequentialPolicy) -> CascadeRun:
        return run_cascade(
            policy,
            seen,
            prior=asked.prior,
            expected_cost_usd=asked.expected_usd,
            quality=asked.truth.quality,
            cost_usd=asked.truth.cost_usd,
        )

    options: Mapping[str, Callable[[], Sequence[_Option]]] = {
        CASCADE: lambda: [
            _Option(point.policy, point.quality, point.cost_usd)
            for point in frontier(cache, known.quality, known.cost_usd)
        ],
        CASCADE_ROUTING: lambda: _routing_options(known, reference_usd),
    }
    return {
        name: _at_budgets(make(), known, played, asked.truth, hull, reference_usd)
        for name, make in options.items()
    }


@dataclass(frozen=True, slots=True)
class _Option:
    """A policy with its mean quality and cost on the training rows."""

    policy: SequentialPolicy
    quality: float
    cost_usd: float


def _routing_options(known: Known, reference_usd: float) -> list[_Option]:
    routing = fit_cascade_routing(known.score, known.prior, known.expected_usd)
    found = []
    for weight in np.geomspace(3e-3 / reference_usd, 30.0 / reference_usd, N_WEIGHTS).tolist():
        policy = routing.at(weight)
        run = known.play(policy)
        found.append(_Option(policy, float(run.quality.mean()), float(run.cost_usd.mean())))
    return found


def _at_budgets(
    options: Sequence[_Option],
    known: Known,
    played: Callable[[SequentialPolicy], CascadeRun],
    truth: FullInformation,
    hull: Hull,
    reference_usd: float,
) -> Played:
    cheapest = min(range(len(options)), key=lambda i: options[i].cost_usd)
    inside: dict[int, CascadeRun] = {}
    runs: dict[str, Gain] = {}
    gains = []
    for share in SHARES.tolist():
        budget = share * reference_usd
        within = [i for i, o in enumerate(options) if o.cost_usd <= budget]
        best = max(within, key=lambda i: options[i].quality, default=cheapest)
        policy = options[best].policy
        if best not in inside:
            inside[best] = known.play(policy)
        floored = with_floor(
            policy,
            inside[best],
            known.quality,
            known.cost_usd,
            known.groups,
            budget_usd=budget,
        )
        key = json.dumps(floored.policy.to_dict())
        if key not in runs:
            run = played(floored.policy)
            runs[key] = hull.beside(run.quality, run.cost_usd, truth.quality, truth.cost_usd)
        gains.append(runs[key])
    return Played.of(gains)
