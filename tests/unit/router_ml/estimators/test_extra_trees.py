"""Extra trees: leaves that shrink, one split for all candidates."""

from dataclasses import replace

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
from router_ml.estimators.base import load_estimator
from router_ml.estimators.effects import Effects
from router_ml.estimators.extra_trees import ExtraTreesEstimator, shrunken_values


def test_values_shrink_towards_the_node_above() -> None:
    left, right = np.array([1, -1, -1]), np.array([2, -1, -1])
    target = np.array([[1.0], [1.0], [0.0], [0.5]])
    weight = np.array([[1.0], [1.0], [1.0], [0.0]])
    effects = Effects(np.zeros(0), target, weight)
    value = shrunken_values(left, right, np.array([1, 1, 2, 2]), effects, prior=1.0)
    root = 2.0 / (3.0 + 1.0)
    expected = [root, (2.0 + root) / (2.0 + 1.0), (0.0 + root) / (1.0 + 1.0)]
    assert value[:, 0].tolist() == pytest.approx(expected)


def test_an_unlabelled_leaf_says_what_stands_above_it() -> None:
    left, right = np.array([1, -1, -1]), np.array([2, -1, -1])
    effects = Effects(np.zeros(0), np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]]))
    value = shrunken_values(left, right, np.array([1, 2]), effects, prior=1.0)
    assert value[2, 0] == value[0, 0] == pytest.approx(0.5)


def test_a_larger_prior_says_less() -> None:
    queries, table = example_batch(300), example_candidates(3)
    Y = example_labels(queries, 3)
    spread = [
        ExtraTreesEstimator(n_trees=20, prior=prior)
        .fit(queries, Y, candidates=table)
        .predict(queries, table)
        .std(axis=0)
        .mean()
        for prior in (1.0, 30.0, 1000.0)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_principal_trees_see_a_direction_that_no_leading_dimension_has() -> None:
    rng = np.random.default_rng(0)
    direction = np.zeros(40)
    direction[20:] = rng.standard_normal(20)
    direction /= np.linalg.norm(direction)
    queries, table = example_batch(600, n_dims=40), example_candidates(2)
    along = rng.standard_normal(600)
    noise = 0.1 * rng.standard_normal((600, 40))
    embedding = (along[:, None] * direction + noise).astype(np.float32)
    queries = replace(queries, embedding=embedding)
    Y = np.column_stack([np.where(along > 0, 0.9, 0.1), np.full(600, 0.5)])
    error = {}
    for principal in (False, True):
        trees = ExtraTreesEstimator(n_trees=20, n_dims=4, principal=principal)
        trees.fit(queries, Y, candidates=table)
        kept = load_estimator(trees.get_state())
        predicted = kept.predict(queries, table)
        assert np.array_equal(predicted, trees.predict(queries, table))
        error[principal] = float(np.mean((predicted - Y) ** 2))
    assert error[True] < 0.5 * error[False]


def test_trees_that_were_kept_before_there_were_axes_still_predict() -> None:
    queries, table = example_batch(60), example_candidates(2)
    trees = ExtraTreesEstimator(n_trees=5).fit(
        queries, example_labels(queries, 2), candidates=table
    )
    state = trees.get_state()
    params = {key: value for key, value in state.params.items() if key != "principal"}
    arrays = {key: value for key, value in state.arrays.items() if key != "basis_"}
    older = load_estimator(replace(state, params=params, arrays=arrays))
    assert np.array_equal(older.predict(queries, table), trees.predict(queries, table))


@pytest.mark.parametrize(
    "wrong",
    [
        ExtraTreesEstimator(prior=0.0),
        ExtraTreesEstimator(n_trees=0),
        ExtraTreesEstimator(max_features=1.5),
    ],
)
def test_parameters_are_checked(wrong: ExtraTreesEstimator) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        wrong.fit(example_batch(20), np.ones((20, 2)), candidates=example_candidates(2))
