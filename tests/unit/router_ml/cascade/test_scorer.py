from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.evaluation import run_cascade
from router_ml.cascade.export import check_answer_parity, export_answer
from router_ml.cascade.policies.sequential import Score
from router_ml.cascade.scorer import AnswerScorer, platt
from router_ml.cascade.search import CascadePoint, choose, frontier
from router_ml.errors import ConfigError, ParityError, SchemaError
from router_ml.estimators.base import State
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from tests.cascades import arithmetic_world

Predict = Callable[[AnswerTable, IntArray, IntArray, BoolArray], FloatArray]
World = tuple[AnswerTable, FloatArray]


def small(**changes: int) -> AnswerScorer:
    return AnswerScorer(**{"n_trees": 60, "n_splits": 3, "repeats": 2, **changes})


@pytest.fixture(scope="module")
def world() -> World:
    queries, answers, quality, _ = arithmetic_world(600)
    return AnswerTable.of(queries, answers), quality


@pytest.fixture(scope="module")
def scorer(world: World) -> AnswerScorer:
    table, quality = world
    return small().fit(table.take(np.arange(400)), quality[:400])


def everything(table: AnswerTable) -> tuple[IntArray, IntArray, BoolArray]:
    query, candidate = np.nonzero(table.known)
    return query, candidate, table.known[query]


def test_scores_find_right_answers_on_new_queries_and_are_calibrated(
    world: World, scorer: AnswerScorer
) -> None:
    table, quality = world
    test, y = table.take(np.arange(400, 600)), quality[400:]
    query, candidate, seen = everything(test)
    alone = scorer.predict(test, query, candidate, np.zeros_like(seen))
    beside = scorer.predict(test, query, candidate, seen)
    right = y[query, candidate]
    assert roc_auc_score(right, alone) > 0.9
    assert roc_auc_score(right, beside) >= roc_auc_score(right, alone) - 0.01
    # Four standard errors of the mean of 600 Bernoulli draws at 0.77.
    assert abs(beside.mean() - right.mean()) < 4 * np.sqrt(0.77 * 0.23 / 600)


def test_state_round_trips(world: World, scorer: AnswerScorer, tmp_path: Path) -> None:
    table = world[0].take(np.arange(400, 450))
    scorer.get_state().save(tmp_path / "state")
    again = AnswerScorer.from_state(State.load(tmp_path / "state"))
    rows = everything(table)
    np.testing.assert_allclose(again.predict(table, *rows), scorer.predict(table, *rows))
    assert again.get_params() == scorer.get_params()
    assert again.agreement_learned_


def test_graph_agrees_and_a_wrong_graph_is_refused(world: World, scorer: AnswerScorer) -> None:
    table, quality = world
    graph = export_answer(scorer)
    assert check_answer_parity(scorer, graph, table, *everything(table)) < 1e-4
    other = small(random_state=1).fit(table, 1.0 - quality)
    with pytest.raises(ParityError, match="agree within"):
        check_answer_parity(other, graph, table, *everything(table))


def test_one_answer_logs_teach_no_agreement() -> None:
    queries, answers, quality, _ = arithmetic_world(150)
    served = np.random.default_rng(0).integers(0, 3, size=150).tolist()
    one = [
        [text if k == s else None for k, text in enumerate(row)]
        for row, s in zip(answers, served, strict=True)
    ]
    assert not small().fit(AnswerTable.of(queries, one), quality).agreement_learned_


def test_labels_missing_and_wrong() -> None:
    queries, answers, quality, _ = arithmetic_world(60)
    table = AnswerTable.of(queries, answers)
    with pytest.raises(SchemaError, match="nothing to learn"):
        small().fit(table, np.full(quality.shape, np.nan))
    with pytest.raises(SchemaError, match=r"in \[0, 1\]"):
        small().fit(table, quality * 2)
    with pytest.raises(SchemaError, match="shape"):
        small().fit(table, quality[:10])
    with pytest.raises(ConfigError, match="n_splits"):
        small(n_splits=1).fit(table, quality)


def test_groups_stay_on_one_side() -> None:
    queries, answers, quality, _ = arithmetic_world(60)
    scorer = small().fit(AnswerTable.of(queries, answers), quality, groups=np.arange(60) // 2)
    assert np.array_equal(scorer.fold_[::2], scorer.fold_[1::2])


def test_platt_survives_separable_data() -> None:
    margin = np.array([-2.0, -1.0, 1.0, 2.0])
    slope, intercept = platt(margin, (margin > 0).astype(float), np.ones(4))
    assert np.isfinite([slope, intercept]).all()
    assert slope > 0


def test_thresholds_from_the_scorers_own_rows_promise_too_much_and_ours_do_not() -> None:
    """Labels here are pure chance: nothing can be gained, and only one of two searches says so."""
    rng = np.random.default_rng(3)
    queries, answers, quality, cost = arithmetic_world(1200, random_state=3)
    quality = (rng.random(quality.shape) < 0.6).astype(float)
    table = AnswerTable.of(queries, answers)
    fit, test = table.take(np.arange(600)), table.take(np.arange(600, 1200))
    scorer = AnswerScorer(n_trees=200, n_splits=3).fit(fit, quality[:600])
    honest = _search(_score(fit, scorer.predict_out_of_fold), quality[:600], cost[:600])
    # A booster as large as it may grow has memorised its rows: what the naive search trusts.
    scorer.booster_, scorer.n_trees_ = scorer.fold_boosters_[0], scorer.n_trees
    scorer.slope_, scorer.intercept_ = 1.0, 0.0  # of chance, calibration has either sign
    own = np.flatnonzero(scorer.fold_ != 0)
    naive = _search(_score(fit.take(own), scorer.predict), quality[own], cost[own])
    optimism = {}
    for name, point in (("naive", naive), ("honest", honest)):
        run = run_cascade(
            point.policy,
            _score(test, scorer.predict),
            prior=np.full((600, 3), 0.6),
            expected_cost_usd=cost[600:],
            quality=quality[600:],
            cost_usd=cost[600:],
        )
        optimism[name] = point.quality - float(run.quality.mean())
    error = np.sqrt(2 * 0.6 * 0.4 / 600)  # of a difference of two means of 600
    assert optimism["naive"] > 4 * error
    # Some optimism of picking the best of many thresholds remains.
    assert optimism["honest"] < 3 * error
    assert optimism["honest"] < optimism["naive"] / 2


def _search(score: Score, quality: FloatArray, cost: FloatArray) -> CascadePoint:
    return choose(frontier(score, quality, cost, n_quantiles=8), budget_usd=0.024)


def _score(table: AnswerTable, predict: Predict) -> Score:
    def score(rows: IntArray, asked: BoolArray) -> FloatArray:
        out = np.full(asked.shape, np.nan)
        i, j = np.nonzero(asked)
        out[i, j] = predict(table, rows[i], j, asked[i])
        return out

    return score
