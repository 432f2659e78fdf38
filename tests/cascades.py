"""A small world of arithmetic questions for cascade tests: answers that can be judged."""

from __future__ import annotations

import numpy as np

from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.export import export_answer
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.policies.sequential import Score, SequentialPolicy
from router_ml.cascade.runtime.files import CascadeFiles
from router_ml.cascade.scorer import AnswerScorer
from router_ml.features.query import Query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

COST = np.array([0.001, 0.003, 0.02])


def arithmetic_world(
    n: int = 400, *, random_state: int = 0
) -> tuple[list[Query], list[list[str]], FloatArray, FloatArray]:
    """Queries, answers, quality (n, 3) and cost (n, 3) of a cheap, a middling and a dear candidate.

    A wrong answer shows it more often than not: its written sum does not add up, or it hedges.
    """
    rng = np.random.default_rng(random_state)
    queries, answers = [], []
    quality = np.zeros((n, 3))
    for i in range(n):
        a, b = (int(v) for v in rng.integers(10, 99, size=2))
        queries.append(Query(f"Tom has {a} apples and buys {b} more. How many has he now?"))
        row = []
        for k, skill in enumerate((0.6, 0.75, 0.95)):
            right = bool(rng.random() < skill)
            quality[i, k] = right
            result = a + b if right else a + b + int(rng.integers(1, 9))
            shown = rng.random() < 0.8
            row.append(
                f"{a} + {b} = {result} apples. #### {result}"
                if right or shown
                else f"I think it is probably {result}."
            )
        answers.append(row)
    return queries, answers, quality, np.tile(COST, (n, 1))


def cascade_extras(policy: SequentialPolicy | None = None) -> dict[str, bytes]:
    """Files of a trained cascade over three candidates, for ``make_bundle``."""
    queries, answers, quality, _ = arithmetic_world()
    scorer = AnswerScorer(n_trees=60, n_splits=3, repeats=2)
    scorer.fit(AnswerTable.of(queries, answers), quality)
    policy = policy or CascadePolicy(order=(0, 1, 2), thresholds=(0.8, 0.8), gains=(0.2, 0.1))
    return CascadeFiles(
        policy=policy, layout=scorer.layout_, graph=export_answer(scorer)
    ).to_files()


def fixed_score(estimates: FloatArray) -> Score:
    """A scorer that gives known estimates, whatever else was seen."""

    def score(rows: IntArray, asked: BoolArray) -> FloatArray:
        return np.where(asked, estimates[rows], np.nan)

    return score


def calibrated_world(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates of a perfect scorer, outcomes drawn from them, and costs; shape (n, 3) each."""
    rng = np.random.default_rng(seed)
    estimates = rng.beta([3.0, 4.0, 12.0], [2.0, 1.5, 1.0], size=(n, 3))
    quality = (rng.random((n, 3)) < estimates).astype(float)
    return estimates, quality, np.tile(COST, (n, 1))
