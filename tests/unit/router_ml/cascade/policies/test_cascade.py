from __future__ import annotations

import numpy as np
import pytest

from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.errors import ConfigError


def test_an_order_needs_one_threshold_fewer() -> None:
    with pytest.raises(ConfigError, match="threshold"):
        CascadePolicy(order=(0, 1), thresholds=())


def test_a_fixed_order_knows_no_cost_weight() -> None:
    assert CascadePolicy(order=(0, 1), thresholds=(0.5,)).at(10.0) is None


def test_a_failed_candidate_is_skipped() -> None:
    policy = CascadePolicy(order=(0, 1, 2), thresholds=(0.8, 0.7))
    prior = cost = np.full((1, 3), 0.5)
    blocked = np.array([[False, True, False]])
    assert policy.step(prior, cost, np.array([[0.5, np.nan, np.nan]]), blocked).action[0] == 2
    blocked[:] = True
    assert policy.step(prior, cost, np.full((1, 3), np.nan), blocked).action[0] == -1
