from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_ml.data.synthetic import SyntheticWorld
from router_ml.errors import OverlapError
from router_ml.evaluation.off_policy.assessment import assess
from router_ml.evaluation.off_policy.feedback import LoggedFeedback

K = 4
NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def logged() -> tuple[LoggedFeedback, np.ndarray, np.ndarray]:
    world = SyntheticWorld(n_candidates=K, random_state=2)
    queries = world.sample(4_000, random_state=2)
    probs = world.behavior_probs(queries, "covariate", floor=0.4)
    log = world.log(queries, behavior=probs, label_share=0.6, missing="mar", random_state=3)
    feedback = LoggedFeedback(log.action, log.propensity, log.quality, log.label_prob)
    return feedback, queries.quality, queries.cost_usd


def test_all_estimators_agree_with_the_truth_and_each_other(
    logged: tuple[LoggedFeedback, np.ndarray, np.ndarray],
) -> None:
    feedback, quality, _ = logged
    probs = np.tile(np.eye(K)[1], (len(feedback), 1))
    predicted = np.tile(np.full(K, 0.8), (len(feedback), 1))
    found = assess(feedback, probs, predicted, candidates=NAMES, largest_weight=100.0)
    truth = quality[:, 1].mean()
    assert found.estimates["DR"].low < truth < found.estimates["DR"].high
    assert found.estimates["SNIPS"].low < truth < found.estimates["SNIPS"].high
    wide = found.estimates["empirical_bernstein"]
    assert wide.low < found.estimates["DR"].low
    assert found.estimates["DR"].high < wide.high
    assert found.worst_case is not None
    assert found.worst_case.low < truth < found.worst_case.high
    assert found.sensitivity.low < found.estimates["SNIPS"].value < found.sensitivity.high
    assert any("no label" in warning for warning in found.warnings)
    assert found.as_dict()["estimates"]["DR"]["n"] == len(feedback)


def test_cost_has_no_range_and_is_known_for_every_row(
    logged: tuple[LoggedFeedback, np.ndarray, np.ndarray],
) -> None:
    feedback, _, cost = logged
    n = len(feedback)
    spent = replace(feedback, outcome=cost[np.arange(n), feedback.action], label_prob=np.ones(n))
    probs = np.tile(np.eye(K)[3], (n, 1))
    predicted = np.tile(cost.mean(axis=0), (n, 1))
    found = assess(spent, probs, predicted, candidates=NAMES, outcome_range=None)
    estimate = found.estimates["DR"]
    assert estimate.low < cost[:, 3].mean() < estimate.high
    assert found.worst_case is None
    assert found.warnings == ()


def test_estimated_propensities_and_thin_logs_are_warned_about(
    logged: tuple[LoggedFeedback, np.ndarray, np.ndarray],
) -> None:
    feedback, _, _ = logged
    few = LoggedFeedback(
        feedback.action[:60],
        feedback.propensity[:60],
        feedback.outcome[:60],
        propensity_source="estimated",
    )
    probs = np.full((60, K), 1 / K)
    found = assess(few, probs, probs, candidates=NAMES, max_unsupported=1.0)
    text = " ".join(found.warnings)
    assert "propensities are estimated" in text
    assert "effective rows" in text
    with pytest.raises(OverlapError, match="the log cannot support this policy"):
        assess(few, np.tile(np.eye(K)[2], (60, 1)), probs, candidates=NAMES)
