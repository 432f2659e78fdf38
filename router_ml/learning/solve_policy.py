"""From what a person asks for to a policy whose numbers are solved on training predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_ml.errors import ConfigError
from router_ml.evaluation.off_policy.direct import learn_budget_policy
from router_ml.learning.targets import Evidence
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import best_constant
from router_ml.policies.registry import from_dict
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


def solve_policy(
    spec: Mapping[str, Any],
    predictions: Predictions,
    candidates: CandidateTable,
    evidence: Evidence | None = None,
) -> tuple[Policy, dict[str, Any]]:
    """Build a policy: budgets are solved, ``direct`` ones learned, Thompson's errors measured.

    Parameters
    ----------
    spec : as ``policy.json`` holds it, or ``{"name": "budget", "budget_usd": x}``, or ``{"name":
        "budget", "cost_share": s}``: a share of what the best constant costs
    predictions : of the training queries, shape (n, K)
    evidence : what ``direct`` learns from, and how well each candidate is known

    Returns
    -------
    The policy, and what is to be reported of its learning.

    Raises
    ------
    ConfigError
        If the spec is not one of these, or its budget cannot be met.
    """
    if spec.get("name") == "thompson" and "std" not in spec and evidence is not None:
        std = dict(zip(candidates.names, evidence.standard_errors().tolist(), strict=True))
        return from_dict({**spec, "std": std}), {}
    if spec.get("name") != "budget" or "mix" in spec:
        return from_dict(spec), {}
    extra = set(spec) - {"name", "budget_usd", "cost_share", "direct"}
    if extra or ("budget_usd" in spec) == ("cost_share" in spec):
        raise ConfigError(
            f"a budget policy needs budget_usd or cost_share, one of them, got {dict(spec)}"
        )
    budget = spec.get("budget_usd")
    if budget is None:
        cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
        best = best_constant(predictions.quality, cost_usd)
        budget = float(spec["cost_share"]) * float(cost_usd[:, best].mean())
    if not spec.get("direct", False):
        return BudgetPolicy.solve(predictions, candidates, budget_usd=float(budget)), {}
    if evidence is None:
        raise ConfigError("direct: true needs a log to learn from; there is none here")
    found = learn_budget_policy(
        predictions,
        candidates,
        evidence.pseudo,
        budget_usd=float(budget),
        requests=evidence.requests,
        group_id=evidence.group_id,
    )
    return found.policy, found.as_dict()
