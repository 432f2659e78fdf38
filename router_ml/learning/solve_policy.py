"""From what a person asks for to a policy whose numbers are solved on training predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.off_policy.direct import learn_budget_policy
from router_ml.learning.budgets import solve_up_to
from router_ml.learning.match import match_budget
from router_ml.learning.targets import Evidence
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import best_constant
from router_ml.policies.registry import from_dict
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

_AMOUNTS: Final = ("budget_usd", "cost_share", "match")


def solve_policy(
    spec: Mapping[str, Any],
    predictions: Predictions,
    candidates: CandidateTable,
    evidence: Evidence | None = None,
    *,
    std: FloatArray | None = None,
) -> tuple[Policy, Mapping[str, Any]]:
    """Build a policy: budgets are solved and floored, ``direct`` ones learned, errors measured.

    Parameters
    ----------
    spec : as ``policy.json`` holds it, or ``{"name": "budget", "budget_usd": x}``, or ``{"name":
        "budget", "cost_share": s}``: a share of what the best constant costs, or ``{"name":
        "budget", "match": "today"}``: one at which quality is held (``match_budget``)
    predictions : of the training queries, shape (n, K)
    evidence : what ``direct`` learns from, how well each candidate is known, and what a budget's
        floor is measured on; without it a budget has no floor
    std : standard errors of candidates' mean quality that the estimator knows, shape (K,), NaN
        where the log tells: for ``thompson``

    Returns
    -------
    The policy, and what is to be reported of its learning.

    Raises
    ------
    ConfigError
        If the spec is not one of these, or its budget cannot be met.
    """
    if spec.get("name") == "thompson" and "std" not in spec and (evidence or std is not None):
        logged = np.ones(len(candidates)) if evidence is None else evidence.standard_errors()
        errors = logged if std is None else np.where(np.isnan(std), logged, std)
        by_name = dict(zip(candidates.names, errors.tolist(), strict=True))
        return from_dict({**spec, "std": by_name}), {}
    if spec.get("name") != "budget" or "mix" in spec:
        return from_dict(spec), {}
    given = [key for key in _AMOUNTS if key in spec]
    if len(given) != 1 or set(spec) - {"name", "direct", *_AMOUNTS}:
        raise ConfigError(
            f"a budget policy needs one of {', '.join(_AMOUNTS)}, and takes direct, got "
            f"{dict(spec)}"
        )
    if "match" in spec:
        budget, told = match_budget(spec["match"], predictions, candidates, evidence)
    else:
        requests = None if evidence is None else evidence.requests
        budget, told = _budget(spec, predictions, candidates, requests)
    if not spec.get("direct", False):
        if evidence is None:
            return BudgetPolicy.solve(predictions, candidates, budget_usd=budget), told
        policy = solve_up_to(predictions, candidates, budget, evidence)[-1]
        if policy.budget_usd < budget * (1.0 - 1e-9):
            said = (told.get("note"), _spends_less(policy.budget_usd, budget))
            told = {**told, "note": "; ".join(filter(None, said))}
        return policy, {**told, "floor_share": policy.floor_share}
    if evidence is None:
        raise ConfigError("direct: true needs a log to learn from; there is none here")
    found = learn_budget_policy(
        predictions,
        candidates,
        evidence.pseudo,
        budget_usd=budget,
        requests=evidence.requests,
        group_id=evidence.group_id,
    )
    return found.policy, {**found.as_dict(), **told}


def _spends_less(solved: float, budget: float) -> str:
    return (
        f"the router spends ${solved:.3g} a request where ${budget:.3g} are allowed: on held-out "
        "rows of the training data more buys no quality"
    )


def _budget(
    spec: Mapping[str, Any],
    predictions: Predictions,
    candidates: CandidateTable,
    requests: FloatArray | None,
) -> tuple[float, Mapping[str, Any]]:
    """Dollars a request: as given, or a share of the best constant's cost that can be met.

    Where the share buys less than the cheapest candidate of every query costs, the budget is what
    those cost, and a sentence says so.
    """
    if "budget_usd" in spec:
        return float(spec["budget_usd"]), {}
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    best = best_constant(predictions.quality, cost_usd)
    reference = float(np.average(cost_usd[:, best], weights=requests))
    cheapest = float(np.average(cost_usd.min(axis=1), weights=requests))
    share = float(spec["cost_share"])
    if share * reference >= cheapest:
        return share * reference, {}
    least = cheapest / reference if reference > 0.0 else 1.0
    return cheapest, {
        "note": f"policy.cost_share {share:g} buys less than the cheapest candidate costs "
        f"({least:.0%} of what {candidates.names[best]}, the best constant, costs): every query "
        f"goes to its cheapest candidate; a share above {least:.2f} leaves something to choose"
    }
