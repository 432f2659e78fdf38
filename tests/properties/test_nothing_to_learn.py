"""The hull is a floor: a blend that has nothing to learn is the constants' hull at every budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.data.full_information import FullInformation
from router_ml.estimators.stacked import StackedQuality
from router_ml.features.query import Query
from router_ml.learning.decisions import full_training_set, play
from router_ml.types.arrays import FloatArray

N, N_TRAIN, DRAWS = 1_800, 600, 20
LEVEL: Final = np.array([0.55, 0.65, 0.75])
TABLE = example_candidates(3)
BATCH = example_batch(N)
MEMBERS: Final = {"linear": {"name": "linear"}, "knn": {"name": "knn"}}
POINT = 0.01


def world(kind: str, rng: np.random.Generator) -> FullInformation:
    """Outcomes in which no query says which candidate it needs.

    Random features and shuffled labels are labels that do have contrasts, of other queries; costs
    come along with the former, and stay with their queries in the latter.
    """
    length = np.exp(BATCH.lexical[:, 0].astype(float) / BATCH.lexical[:, 0].std())
    tokens = np.tile(100.0 + 100.0 * length[:, None], (1, 3))
    if kind == "no contrasts":
        hard = 0.2 * np.sign(BATCH.embedding[:, :1])
        quality = (rng.random((N, 3)) < LEVEL + hard).astype(float)
    else:
        other = rng.permutation(N)
        quality = example_labels(BATCH, 3)[other]
        tokens = tokens[other] if kind == "random features" else tokens
    return FullInformation(
        queries=tuple(Query(f"{text} {i}") for i, text in enumerate(BATCH.text)),
        candidates=TABLE,
        quality=quality,
        cost_usd=TABLE.cost_usd(tokens, tokens),
        latency_ms=np.zeros((N, 3)),
        input_tokens=tokens,
        output_tokens=tokens,
    )


def gains(truth: FullInformation) -> FloatArray:
    """Mean gain over the hull at every budget on queries that were not trained on, shape (20,)."""
    inside, outside = np.arange(N_TRAIN), np.arange(N_TRAIN, N)
    _, _, played = play(
        full_training_set(truth, BATCH, inside),
        StackedQuality(members=MEMBERS),
        truth.take(outside),
        BATCH.take(outside),
        floored=True,
    )
    mean: FloatArray = played.gains.mean(axis=0)
    return mean


@pytest.mark.parametrize("kind", ["random features", "shuffled labels", "no contrasts"])
def test_nothing_to_learn_is_the_hull(kind: str) -> None:
    every = np.stack([gains(world(kind, np.random.default_rng(draw))) for draw in range(DRAWS)])
    error = every.mean(axis=1).std(ddof=1) / np.sqrt(DRAWS)
    assert every.mean() > -3 * error - 1e-9
    if kind == "random features":
        assert every.mean() < 3 * error + 1e-9
    errors = every.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    # Twenty budgets: one of them is 2.5 errors out by chance once in eight times.
    assert (every.mean(axis=0) > -0.2 * POINT - 2.5 * errors).all()


def test_the_same_judge_sees_what_can_be_learned() -> None:
    truth = world("no contrasts", np.random.default_rng(0))
    labels = example_labels(BATCH, 3)
    found = gains(replace(truth, quality=labels))
    assert found.mean() > 0.5 * POINT
