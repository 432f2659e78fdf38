"""Numbers pinned from generate_off_policy.py, which shares no code with the project."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.evaluation.off_policy.estimators import direct_method, doubly_robust, ipw, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.sensitivity import sensitivity_bounds, worst_case_bounds

LOG = LoggedFeedback(
    action=np.array([0, 1, 2, 1, 0, 2]),
    propensity=np.array([1 / 2, 1 / 4, 1 / 10, 3 / 5, 2 / 5, 1 / 5]),
    outcome=np.array([1, 0, 1, np.nan, 0, 1 / 2]),
    label_prob=np.array([1 / 2, 1, 4 / 5, 1 / 2, 4 / 5, 1 / 2]),
)
PROBS = np.array(
    [
        [1 / 4, 1 / 2, 1 / 4],
        [0, 1, 0],
        [1 / 2, 0, 1 / 2],
        [1 / 5, 3 / 5, 1 / 5],
        [9 / 10, 1 / 20, 1 / 20],
        [1 / 3, 1 / 3, 1 / 3],
    ]
)
PREDICTED = np.array(
    [
        [0.9, 0.6, 0.2],
        [0.8, 0.5, 0.4],
        [0.7, 0.3, 0.5],
        [1.0, 0.1, 0.3],
        [0.5, 0.5, 0.5],
        [0.4, 0.6, 0.8],
    ]
)


def test_estimators() -> None:
    values = {
        "dm": direct_method(LOG, PROBS, PREDICTED).value,
        "ipw": ipw(LOG, PROBS).value,
        "snips": snips(LOG, PROBS).value,
        "dr": doubly_robust(LOG, PROBS, PREDICTED).value,
        "dr_self_normalised": doubly_robust(LOG, PROBS, PREDICTED, self_normalised=True).value,
        "dr_clip_2": doubly_robust(LOG, PROBS, PREDICTED, clip=2.0).value,
        "dr_switch_2": doubly_robust(LOG, PROBS, PREDICTED, switch=2.0).value,
        "ess": snips(LOG, PROBS).effective_sample_size,
    }
    assert values == pytest.approx(
        {
            "dm": 0.5158333333333334,
            "ipw": 1.4861111111111112,
            "snips": 0.5125748502994012,
            "dr": 0.31895833333333334,
            "dr_self_normalised": 0.4479291417165669,
            "dr_clip_2": 0.2658333333333333,
            "dr_switch_2": 0.5325,
            "ess": 4.03036539050713,
        },
        abs=1e-12,
    )


def test_bounds() -> None:
    worst = worst_case_bounds(LOG, PROBS)
    assert (worst.low, worst.high) == pytest.approx((0.4393063583815029, 0.5086705202312138))
    gamma = sensitivity_bounds(LOG, PROBS, gamma=2.0)
    assert (gamma.low, gamma.high) == pytest.approx((0.46923076923076923, 0.5684575389948007))
