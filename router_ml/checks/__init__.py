"""Contracts as code: every estimator and every policy goes through these checks."""

from router_ml.checks.estimators import check_estimator, yield_estimator_checks
from router_ml.checks.examples import example_batch
from router_ml.checks.policies import check_policy, yield_policy_checks

__all__ = [
    "check_estimator",
    "check_policy",
    "example_batch",
    "yield_estimator_checks",
    "yield_policy_checks",
]
