"""Drawing requests to label: unbiased, shorter intervals, and the error that is stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.agreement import cohen_kappa
from router_ml.evaluation.labelling import LabelValue, sampling_probs


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60),
    st.floats(0.5, 80.0),
    st.floats(0.01, 1.0),
)
def test_probabilities_spend_the_budget(score: list[float], budget: float, floor: float) -> None:
    probs = sampling_probs(np.array(score), budget, floor=floor)
    assert probs.sum() == pytest.approx(min(budget, len(score)))
    assert (probs > 0.0).all()
    assert (probs <= 1.0).all()
    order = np.argsort(score)
    assert (np.diff(probs[order]) >= -1e-12).all()


def test_wrong_scores_are_refused() -> None:
    with pytest.raises(SchemaError, match="finite"):
        sampling_probs(np.array([np.nan]), 1.0)
    with pytest.raises(SchemaError, match="budget"):
        sampling_probs(np.ones(3), 0.0)


def test_the_estimate_is_unbiased_and_its_error_as_stated() -> None:
    rng = np.random.default_rng(0)
    n, budget, draws = 2_000, 300, 600
    weight = np.where(rng.random(n) < 0.2, rng.uniform(2.0, 8.0, n), -0.2)
    spread = rng.uniform(0.1, 0.5, n)
    labelled = rng.random(n) < 0.1
    value = LabelValue(weight, spread, labelled, np.zeros(n), ~labelled)
    found = {}
    for floor in (0.1, 1.0):
        probs = value.probs(budget, floor=floor)
        assert probs[labelled].max() == 0.0
        residual = rng.normal(0.0, 1.0, (draws, n)) * spread
        told = np.where(labelled, 1.0, (rng.random((draws, n)) < probs) / np.maximum(probs, 1e-9))
        error = (weight * residual * told).mean(axis=1)
        assert abs(error.mean()) < 4.0 * error.std() / draws**0.5
        assert error.std() == pytest.approx(value.standard_error(probs), rel=0.12)
        found[floor] = error.std()
    assert found[0.1] < 0.7 * found[1.0]


def test_kappa_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    gold = (rng.random(200) < 0.6).astype(float)
    judge = np.where(rng.random(200) < 0.8, gold, 1.0 - gold)
    found = cohen_kappa(judge, gold)
    assert found.value == pytest.approx(cohen_kappa_score(judge, gold))
    assert found.low < 0.6 < found.high
    with pytest.raises(DataError, match="says nothing"):
        cohen_kappa(np.ones(20), np.ones(20))
