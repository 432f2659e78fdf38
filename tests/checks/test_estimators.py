"""Every registered estimator keeps every promise; a new one is found by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router_ml.checks.estimators import EstimatorCheck, yield_estimator_checks
from router_ml.estimators.registry import load_all, make_estimator
from tests.tiny_model import tiny_model

MEMBERS = {"linear": {"name": "linear"}, "knn": {"name": "knn"}}
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "deep_averaging": {"n_tokens": 64, "n_hidden": 16},
    "distilled": {"teacher": {"name": "knn"}, "student": {"name": "linear"}},
    "auto": {"train_s": 0.5},  # leaves the slow members out
    "fine_tuned": {"min_steps": 30, "learning_rate": 1e-3},
    "lightgbm": {"n_trees": 20, "n_dims": 8},
    "card": {"base": {"name": "linear"}, "min_prompts": 20},
    "pooled": {"base": {"name": "linear"}},
    "stacked": {"members": MEMBERS},
}
"""What examples need to be small; an estimator that is not here is built without arguments."""
NAMES = sorted(load_all())


def arguments(name: str) -> Mapping[str, Any]:
    """Arguments of an estimator that suit the example batches."""
    model = {"model": tiny_model()} if name == "fine_tuned" else {}
    return {**ARGUMENTS.get(name, {}), **model}


@pytest.mark.parametrize("check", list(yield_estimator_checks()), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_estimator(name: str, check: EstimatorCheck) -> None:
    check(make_estimator({"name": name, **arguments(name)}))


def test_there_are_estimators() -> None:
    assert {"constant", "knn", "lightgbm", "linear", "stacked", "token_weights"} <= set(NAMES)
