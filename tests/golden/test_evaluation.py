"""Numbers pinned from generate_evaluation.py, which shares no code with the project."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.evaluation.calibration import brier, ece
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.two_candidates import routellm_metrics
from router_ml.types.arrays import FloatArray


def uniforms(seed: int, n: int) -> FloatArray:
    out, state = [], seed
    for _ in range(n):
        state = (1664525 * state + 1013904223) % 2**32
        out.append(state / 2**32)
    return np.array(out)


def test_routellm_protocol() -> None:
    score = uniforms(1, 203)
    weak = (uniforms(2, 203) < 0.7 - 0.4 * score).astype(float)
    strong = (uniforms(3, 203) < 0.8).astype(float)
    metrics = routellm_metrics(score, weak, strong, levels=(0.2, 0.5, 0.8), n_resamples=50)
    values = {name: estimate.value for name, estimate in metrics.items()}
    assert values == pytest.approx(
        {
            "apgr": 0.5742128935532235,
            "cpt20": 0.08922413793103441,
            "cpt50": 0.39285714285714274,
            "cpt80": 0.7726952850105558,
        },
        abs=1e-12,
    )


def test_calibration() -> None:
    p = uniforms(4, 200)
    y = (uniforms(5, 200) < p**1.5).astype(float)
    assert ece(p, y) == pytest.approx(0.07140831323806196, abs=1e-12)
    assert brier(p, y) == pytest.approx(0.16847892119139218, abs=1e-12)


def test_area_under_the_hull() -> None:
    curve = Curve(np.array([1.0, 2, 3, 5, 6]), np.array([4.0, 7, 7, 6, 9]))
    assert curve.aiq(8.0) == pytest.approx(6.9375, abs=1e-12)
