from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from router_ml.errors import ConfigError, SchemaError
from router_ml.evaluation.calibration import ece, ece_debiased, ece_estimate, reliability
from router_ml.evaluation.comparison import compare_policies
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.metrics import METRICS, expected
from router_ml.evaluation.two_candidates import routellm_metrics
from router_ml.types.arrays import FloatArray


def test_a_perfectly_calibrated_model_has_no_debiased_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(500, 4))
    y = (rng.random(p.shape) < p).astype(float)
    assert ece(p, y) > 0.01
    # The plug-in ECE of 2,000 labels varies by about 0.01 around its chance level.
    assert abs(ece_debiased(p, y)) < 0.02
    assert ece_debiased(p**2, y) > 0.1


def test_unlabelled_cells_are_skipped_and_ties_share_a_bin() -> None:
    p = np.array([[0.5, 0.5], [0.5, 0.5]])
    y = np.array([[1.0, np.nan], [0.0, np.nan]])
    assert ece(p, y) == 0.0
    assert reliability(p, y).count.tolist() == [2]


def test_ece_interval_holds_its_value() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(size=(200, 3))
    y = (rng.random(p.shape) < p).astype(float)
    estimate = ece_estimate(p, y, group_id=np.arange(200) // 2, n_resamples=200)
    assert estimate.value == pytest.approx(ece(p, y))
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.n == 600


def test_ties_of_the_score_are_broken() -> None:
    rng = np.random.default_rng(2)
    weak, strong = rng.integers(2, size=4_000), np.ones(4_000)
    metrics = routellm_metrics(np.zeros(4_000), weak.astype(float), strong, n_resamples=200)
    # An uninformative score is a random router: APGR one half.
    assert metrics["apgr"].value == pytest.approx(0.5, abs=0.03)


def test_comparison_is_paired_and_the_baseline_differs_from_itself_by_nothing() -> None:
    rng = np.random.default_rng(3)
    quality = (rng.random((300, 3)) < [0.5, 0.7, 0.9]).astype(float)
    cost = np.tile([1.0, 2.0, 4.0], (300, 1))
    probs = {name: np.eye(3)[np.full(300, k)] for k, name in enumerate("abc")}
    probs["oracle"] = np.eye(3)[quality.argmax(axis=1)]
    table = compare_policies(probs, baseline="c", quality=quality, cost_usd=cost, n_resamples=300)
    assert set(table["a"]) == set(METRICS)
    itself = table["c"]
    assert itself["quality_difference"].low == itself["quality_difference"].high == 0.0
    assert itself["cost_ratio"].high == 1.0
    assert table["oracle"]["regret"].high == pytest.approx(0.0)
    assert table["oracle"]["oracle_gap_closed"].value == pytest.approx(1.0)
    assert table["a"]["cost_ratio"].value == 0.25
    with pytest.raises(ConfigError, match="baseline 'x'"):
        compare_policies(probs, baseline="x", quality=quality, cost_usd=cost)


def test_shapes_and_empty_curves_are_refused() -> None:
    with pytest.raises(SchemaError, match="one shape"):
        expected(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(SchemaError, match="at least one"):
        Curve(np.array([]), np.array([]))
    with pytest.raises(SchemaError, match="finite"):
        Curve(np.array([np.nan]), np.array([0.5]))
    assert np.isnan(Curve(np.array([1.0]), np.array([0.5])).cost_at_quality(0.6))


@pytest.mark.skipif("ROUTER_ML_DATA" not in os.environ, reason="ROUTER_ML_DATA is not set")
def test_published_constants_and_oracle_on_routellm_data() -> None:
    import pandas as pd

    frame = pd.read_parquet(Path(os.environ["ROUTER_ML_DATA"]) / "routellm" / "mmlu.parquet")
    weak = frame["mixtral-8x7b-instruct-v0.1"].to_numpy(dtype=float)
    strong = frame["gpt-4-1106-preview"].to_numpy(dtype=float)
    lead: FloatArray = np.subtract(strong, weak, dtype=float)
    oracle = routellm_metrics(lead, weak, strong, n_resamples=100)["apgr"].value
    length: FloatArray = np.array(frame["prompt"].str.len(), dtype=float)
    untrained = routellm_metrics(length, weak, strong, n_resamples=100)["apgr"].value
    # An independent measurement, perhaps on the full set of which this is four fifths, gave 1.268
    # and 0.583; the standard deviation of a random router's APGR on it is 0.009.
    assert oracle == pytest.approx(1.268, abs=0.018)
    assert untrained == pytest.approx(0.583, abs=0.009)
