"""Every policy that ``policy.json`` can name keeps every promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router_ml.checks.policies import PolicyCheck, yield_policy_checks
from router_ml.policies.registry import POLICIES

ARGUMENTS: Mapping[str, list[Mapping[str, Any]]] = {
    "boltzmann": [{}, {"cost_weight": 3.0, "floor": 0.02}],
    "budget": [
        {"budget_usd": 1e-3, "cost_weight_low": 10.0, "cost_weight_high": 50.0, "mix": mix}
        for mix in (0.0, 0.4, 1.0)
    ]
    + [
        {
            "budget_usd": 1e-3,
            "cost_weight_low": 10.0,
            "cost_weight_high": 50.0,
            "mix": 0.4,
            "offsets": {"c0": 0.2, "c3": -0.1, "retired": 0.5},
        },
        {
            "budget_usd": 1e-3,
            "cost_weight_low": 10.0,
            "cost_weight_high": 50.0,
            "mix": 0.4,
            "floor": {"c1": 0.25, "c2": 0.75},
            "floor_share": 0.3,
        },
        {
            "budget_usd": 1e-3,
            "cost_weight_low": 10.0,
            "cost_weight_high": 50.0,
            "mix": 0.4,
            "trial": {"c3": 0.1, "retired": 0.2},
        },
    ],
    "constant": [{"candidate": "c2"}],
    "cost_aware": [{}, {"cost_weight": 30.0, "latency_weight": 1e-4}],
    "epsilon_greedy": [{}, {"epsilon": 1.0}, {"epsilon": 0.2, "cost_weight": 5.0, "floor": 0.1}],
    "quality_floor": [{"min_quality": floor} for floor in (0.0, 0.6, 1.0)],
    "thompson": [{}, {"scale": 2.0, "floor": 0.02, "std": {"c0": 0.05, "c1": 0.1}}],
    "threshold": [{"weak": "c0", "strong": "c3", "threshold": 0.1}],
}
"""Arguments worth a check; a policy that is not here is built without any."""
CASES = [(name, arguments) for name in POLICIES for arguments in ARGUMENTS.get(name, [{}])]


@pytest.mark.parametrize("check", list(yield_policy_checks()), ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=lambda value: str(value))
def test_policy(name: str, arguments: Mapping[str, Any], check: PolicyCheck) -> None:
    check(POLICIES[name](**arguments))
