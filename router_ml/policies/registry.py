"""Policies by name, so that ``policy.json`` can build one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import ConstantPolicy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.exploration import (
    BoltzmannPolicy,
    EpsilonGreedyPolicy,
    ThompsonPolicy,
)
from router_ml.policies.oracle import OraclePolicy
from router_ml.policies.quality_floor import QualityFloorPolicy
from router_ml.policies.threshold import ThresholdPolicy
from router_ml.policies.uniform import RandomPolicy

POLICIES: Final[Mapping[str, type[Policy]]] = {
    policy.name: policy
    for policy in (
        BoltzmannPolicy,
        BudgetPolicy,
        ConstantPolicy,
        CostAwarePolicy,
        EpsilonGreedyPolicy,
        OraclePolicy,
        QualityFloorPolicy,
        RandomPolicy,
        ThompsonPolicy,
        ThresholdPolicy,
    )
}


def from_dict(spec: Mapping[str, Any]) -> Policy:
    """Build a policy from what :meth:`Policy.to_dict` gave.

    Raises
    ------
    ConfigError
        If the name is unknown or an argument is wrong.

    Examples
    --------
    >>> from_dict({"name": "cost_aware", "cost_weight": 10.0}).to_dict()
    {'name': 'cost_aware', 'cost_weight': 10.0, 'latency_weight': 0.0}
    """
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in POLICIES:
        raise ConfigError(f"policy name must be one of {', '.join(POLICIES)}, got {name!r}")
    try:
        return POLICIES[name](**arguments)
    except TypeError as error:
        raise ConfigError(f"policy {name!r} does not take {sorted(arguments)}: {error}") from error


def dearer(policy: Policy, cost_weight: float) -> Policy:
    """The same policy with so much more weight on cost, quality per dollar.

    A policy that knows no cost weight gives way to :class:`CostAwarePolicy`. The share of a
    budget's floor, which does not follow the weight, falls as the weight grows.

    Examples
    --------
    >>> dearer(CostAwarePolicy(cost_weight=10.0), 5.0).to_dict()["cost_weight"]
    15.0
    """
    spec = policy.to_dict()
    weights = [key for key in spec if key.startswith("cost_weight")]
    if not weights:
        return CostAwarePolicy(cost_weight=policy.weights[0] + cost_weight)
    if spec.get("floor_share"):
        high = spec["cost_weight_high"]
        spec["floor_share"] *= high / (high + cost_weight)
    return from_dict(spec | {key: spec[key] + cost_weight for key in weights})
