from __future__ import annotations

import numpy as np
import pytest

from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.completion import AnswerWorld
from router_ml.cascade.scorer import AnswerScorer
from router_ml.errors import SchemaError
from router_ml.types.arrays import BoolArray, FloatArray
from tests.cascades import arithmetic_world


def world(
    known: BoolArray, *, random_state: int = 0
) -> tuple[AnswerWorld, AnswerTable, FloatArray, FloatArray]:
    """Completed world, its table, the true quality and the labels seen."""
    n = len(known)
    queries, answers, truth, cost = arithmetic_world(n, random_state=random_state)
    shown = [
        [text if seen else None for text, seen in zip(row, mask, strict=True)]
        for row, mask in zip(answers, known.tolist(), strict=True)
    ]
    table = AnswerTable.of(queries, shown)
    labels = np.where(known, truth, np.nan)
    scorer = AnswerScorer(n_trees=40, n_splits=3, repeats=1).fit(table, labels)
    prior = np.tile(truth.mean(axis=0), (n, 1))
    done = AnswerWorld.complete(scorer, table, quality=labels, cost_usd=cost, prior=prior)
    return done, table, truth, labels


def test_a_complete_log_lends_nothing() -> None:
    done, table, truth, _ = world(np.ones((120, 3), dtype=bool))
    assert done.lent_share == 0.0
    np.testing.assert_array_equal(done.quality, truth)
    asked = np.zeros((120, 3), dtype=bool)
    asked[:, [0, 2]] = True
    rows = np.arange(120)
    mine = done.score(rows, asked)
    assert np.isnan(mine[:, 1]).all()
    own = done.scorer.predict_out_of_fold(table, rows, np.zeros(120, dtype=int), asked)
    np.testing.assert_allclose(mine[:, 0], own)


def test_own_answers_stay_and_donors_come_from_the_same_candidate() -> None:
    known = np.random.default_rng(0).random((300, 3)) < 0.5
    done, _, truth, _ = world(known)
    rows = np.arange(300)[:, None]
    np.testing.assert_array_equal((done.donor == rows)[known], True)
    assert known[done.donor, np.arange(3)].all()
    np.testing.assert_array_equal(done.quality[known], truth[known])
    # What is lent is worth what the candidate's answers are worth: four standard errors.
    gap = done.quality.mean(axis=0) - truth.mean(axis=0)
    assert np.abs(gap).max() < 4 * np.sqrt(0.25 / 100)
    asked = np.ones((300, 3), dtype=bool)
    assert np.isfinite(done.score(np.arange(300), asked)).all()


def test_unlabelled_answers_count_as_what_the_scorer_expects() -> None:
    queries, answers, truth, cost = arithmetic_world(150)
    table = AnswerTable.of(queries, answers)
    labels = np.where(np.arange(150)[:, None] < 100, truth, np.nan)
    scorer = AnswerScorer(n_trees=40, n_splits=3, repeats=1).fit(table, labels)
    done = AnswerWorld.complete(scorer, table, quality=labels, cost_usd=cost, prior=truth * 0 + 0.7)
    rows = np.arange(150)
    beside = done.score(rows, np.ones((150, 3), dtype=bool))
    np.testing.assert_allclose(done.quality[100:], beside[100:])


def test_a_hard_query_borrows_from_hard_queries() -> None:
    """All candidates fail together on hard queries; two answers a query show which those are."""
    rng = np.random.default_rng(1)
    n = 600
    queries, answers, _, cost = arithmetic_world(n)
    hard = rng.random(n) < 0.5
    truth = np.tile((~hard).astype(float)[:, None], (1, 3))
    texts = [
        [row[k] if good else "I think it is probably 3." for k in range(3)]
        for row, good in zip(answers, (~hard).tolist(), strict=True)
    ]
    known = np.ones((n, 3), dtype=bool)
    known[np.arange(n), rng.integers(3, size=n)] = False
    shown = [
        [t if seen else None for t, seen in zip(row, mask, strict=True)]
        for row, mask in zip(texts, known.tolist(), strict=True)
    ]
    table = AnswerTable.of(queries, shown)
    labels = np.where(known, truth, np.nan)
    scorer = AnswerScorer(n_trees=40, n_splits=3, repeats=1).fit(table, labels)
    prior = np.full((n, 3), 0.5)
    done = AnswerWorld.complete(scorer, table, quality=labels, cost_usd=cost, prior=prior)
    assert (done.quality == truth)[~known].mean() > 0.9  # a blind donor is right half the time


def test_refusals() -> None:
    known = np.ones((60, 3), dtype=bool)
    known[:, 2] = False
    with pytest.raises(SchemaError, match="candidate 2"):
        world(known)
    done, table, _, labels = world(np.ones((60, 3), dtype=bool))
    with pytest.raises(SchemaError, match="shape"):
        AnswerWorld.complete(
            done.scorer, table, quality=labels, cost_usd=labels[:, :2], prior=labels
        )
