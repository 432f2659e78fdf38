"""Cascades at budgets: what is met was fixed in training, and what is counted is what is asked."""

from __future__ import annotations

import numpy as np

from pipelines.benchmarks.cascade_methods import table_score
from pipelines.benchmarks.quality_cascades import METHODS, Asked, Known, picked, play_cascades
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.scorer import AnswerScorer
from router_ml.data.full_information import FullInformation
from router_ml.evaluation.hull import Hull
from router_ml.learning.decisions import SHARES, Played
from router_ml.types.candidates import CandidateTable
from tests.cascades import arithmetic_world


def world(n: int, random_state: int) -> tuple[AnswerTable, FullInformation]:
    queries, answers, quality, cost = arithmetic_world(n, random_state=random_state)
    k = quality.shape[1]
    prices = {f"c{j}": (1.0 + j, 1.0 + j) for j in range(k)}
    truth = FullInformation.of(
        queries,
        quality,
        CandidateTable.from_prices(prices),
        cost_usd=cost,
        answers=tuple(map(tuple, answers)),
    )
    return AnswerTable.of(queries, truth.answers or ()), truth


def test_both_cascades_are_above_the_hull_and_near_their_budgets() -> None:
    table, train = world(400, 0)
    asked, test = world(300, 1)
    scorer = AnswerScorer().fit(table, train.quality, groups=train.groups)

    judge = table_score(table, scorer.predict_out_of_fold)
    flat = [np.tile(train.quality.mean(axis=0), (len(t), 1)) for t in (train, test)]
    cost = [np.tile(train.cost_usd.mean(axis=0), (len(t), 1)) for t in (train, test)]
    means = train.quality.mean(axis=0), train.cost_usd.mean(axis=0)
    reference = float(means[1][int(np.argmax(means[0]))])
    found = play_cascades(
        scorer,
        Known(judge, train.quality, train.cost_usd, flat[0], cost[0], train.groups),
        Asked(asked, test, flat[1], cost[1]),
        hull=Hull.of(*means),
        reference_usd=reference,
    )
    assert set(found) == set(METHODS)
    for played in found.values():
        assert played.quality.shape == (300, len(SHARES))
        affordable = reference * SHARES >= means[1].min()
        spent = played.cost_usd.mean(axis=0)
        # Budgets are met on training rows, by out-of-fold scores; gains count what is spent here.
        assert (spent[affordable] <= 1.5 * reference * SHARES[affordable]).all()
        assert spent[-1] > 2.0 * spent[0]
        assert played.gains.mean() > 0.02  # answers tell nearly everything here


def test_cascades_whose_answers_tell_nothing_are_constants() -> None:
    """A scorer that guesses: at no budget is the hull missed, on training rows' own constants."""
    table, train = world(400, 0)
    asked, test = world(300, 1)
    scorer = AnswerScorer().fit(table, train.quality, groups=train.groups)
    rng = np.random.default_rng(0)
    guess = rng.random(train.quality.shape)
    flat = [np.tile(train.quality.mean(axis=0), (len(t), 1)) for t in (train, test)]
    cost = [np.tile(train.cost_usd.mean(axis=0), (len(t), 1)) for t in (train, test)]
    means = train.quality.mean(axis=0), train.cost_usd.mean(axis=0)
    found = play_cascades(
        scorer,
        Known(
            lambda rows, seen: np.where(seen, guess[rows], np.nan),
            train.quality,
            train.cost_usd,
            flat[0],
            cost[0],
            train.groups,
        ),
        Asked(asked, test, flat[1], cost[1]),
        hull=Hull.of(*means),
        reference_usd=float(means[1][int(np.argmax(means[0]))]),
    )
    for played in found.values():
        assert (np.abs(played.gains.mean(axis=0)) < 1e-9).mean() > 0.8


def test_points_picked_on_tested_rows_are_those_of_the_hull() -> None:
    n = len(SHARES)
    cost = np.linspace(0.1, 2.0, n)
    quality = np.linspace(0.5, 0.9, n)
    rows = np.ones((4, 1))
    played = Played(rows * quality, rows * cost, rows * 0.0)
    np.testing.assert_allclose(picked(played, 1.0)[-1], np.interp(1.0, cost, quality))
