"""Extra trees: leaves that shrink, one split for all candidates."""

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
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
