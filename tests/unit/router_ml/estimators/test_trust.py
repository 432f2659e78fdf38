"""Leads over the best constant are believed as far as held-out rows bear them out."""

from dataclasses import replace

import numpy as np
import pytest

from router_ml.checks.examples import example_batch
from router_ml.estimators.base import load_estimator
from router_ml.estimators.stacked import StackedQuality
from router_ml.estimators.trust import believed, lead_trust
from router_ml.types.candidates import CandidateTable

LEVEL = np.array([0.5, 0.6, 0.4])


def test_a_lead_that_comes_true_is_believed_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    true = LEVEL + rng.normal(0.0, 0.1, (5000, 3))
    predicted = true.copy()
    predicted[:, 2] = LEVEL[2] + true[:, 1] - LEVEL[1] + rng.normal(0.0, 0.1, 5000)
    trust = lead_trust(predicted, true, np.ones((5000, 3)), LEVEL)
    assert trust[:2].tolist() == pytest.approx([1.0, 1.0])
    assert trust[2] < 4 / np.sqrt(5000)


def test_a_log_is_left_as_it_is() -> None:
    rng = np.random.default_rng(2)
    predicted, Y = rng.random((300, 3)), rng.random((300, 3))
    asked = np.eye(3)[rng.integers(0, 3, 300)]
    asked[:100, LEVEL.argmax()] = 1.0  # some were asked twice
    assert lead_trust(predicted, np.where(asked > 0, Y, np.nan), asked, LEVEL).tolist() == [1] * 3


def test_trust_moves_leads_and_not_the_best_constant() -> None:
    left = np.array([[0.1, 0.2, -0.3]])
    moved = believed(left, np.array([0.5, 0.0, 0.0]), LEVEL)
    assert moved[0].tolist() == pytest.approx([0.15, 0.2, 0.2])


def test_a_stack_keeps_its_trust() -> None:
    queries = example_batch(300)
    table = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (2.0, 2.0), "c": (3.0, 3.0)})
    rng = np.random.default_rng(3)
    Y = np.clip(queries.lexical[:, :1] * [[0.1, 0.2, 0.3]] + rng.normal(0.0, 0.1, (300, 3)), 0, 1)
    stack = StackedQuality(members={"linear": {"name": "linear", "contrast_penalty": 10.0}})
    stack.fit(queries, Y, candidates=table)
    stack.blend_ = replace(stack.blend_, trust=np.array([0.5, 0.2, 1.0]))
    half = stack.predict(queries, table)
    twin = load_estimator(stack.get_state())
    np.testing.assert_array_equal(twin.predict(queries, table), half)
    stack.blend_ = replace(stack.blend_, trust=np.ones(3))
    assert not np.allclose(stack.predict(queries, table), half)
