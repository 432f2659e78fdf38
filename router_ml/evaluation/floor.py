"""The hull as a floor: a router is believed at a budget as far as held-out rows bear it out."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.evaluation.hull import Hull
from router_ml.evaluation.intervals import cluster_mean
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

PROVEN_Z: Final = 3.0
PROVEN_LEAST: Final = -1.5
UNPROVEN_LEAST: Final = 0.5
"""Standard errors of a budget's gain up to which the mixture of constants decides all."""


def with_floor(
    policy: BudgetPolicy,
    predictions: Predictions,
    candidates: CandidateTable,
    quality: FloatArray,
    *,
    requests: FloatArray,
    group_id: IntArray,
    contrast_z: float = 0.0,
) -> BudgetPolicy:
    r"""Mix a budget policy with the constants that cost the same.

    The share of the router is

    .. math:: 1 - \rho = \min(1, \max(0, z - z_0)), \quad
              z_0 = -1.5 \text{ where contrasts are proven, else } 0.5

    with z the held-out gain over that mixture in standard errors: the one-standard-error rule
    without its jump. One budget's gain is a noisy thing on a log, where few labels are of the
    candidate that was chosen; that contrasts lower the held-out squared error is seen in every
    label. So a router whose contrasts are proven is believed unless a budget's gain speaks against
    it, and one whose contrasts are not must show a gain. Where there is nothing to learn the policy
    is the hull.

    Parameters
    ----------
    policy : solved on ``predictions``
    predictions : of n training queries, out of fold, arrays of shape (n, K)
    quality : labels or DR pseudo-outcomes, without NaN, shape (n, K)
    requests : how often each query was asked, shape (n,)
    group_id : int codes, shape (n,)
    contrast_z : standard errors by which contrasts between candidates lower the held-out squared
        error; 3 prove them

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (1.0, 1.0), "large": (10.0, 10.0)})
    >>> rng = np.random.default_rng(0)
    >>> tokens = np.full((500, 2), 500.0)
    >>> truth = np.column_stack([np.full(500, 0.6), rng.random(500)])
    >>> kept = []
    >>> for seen in (truth, rng.random((500, 2))):
    ...     predictions = Predictions(seen, tokens, tokens, tokens)
    ...     policy = BudgetPolicy.solve(predictions, table, budget_usd=0.005)
    ...     policy = with_floor(policy, predictions, table, truth,
    ...         requests=np.ones(500), group_id=np.arange(500))
    ...     kept.append(round(1 - policy.floor_share, 1))
    >>> kept
    [1.0, 0.0]
    """
    share = requests / requests.mean()
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    mean_cost = np.average(cost_usd, axis=0, weights=share)
    hull = Hull.of(np.average(quality, axis=0, weights=share), mean_cost)
    probs = policy.action_probs(predictions, candidates)
    spent = float(np.average(np.sum(probs * cost_usd, axis=1), weights=share))
    constants = hull.shares(mean_cost, spent)
    gain, error, _ = cluster_mean(share * np.sum((probs - constants) * quality, axis=1), group_id)
    z = gain / error if error > 0 else 0.0
    least = PROVEN_LEAST if contrast_z >= PROVEN_Z else UNPROVEN_LEAST
    return BudgetPolicy(
        budget_usd=policy.budget_usd,
        cost_weight_low=policy.cost_weight_low,
        cost_weight_high=policy.cost_weight_high,
        mix=policy.mix,
        offsets=policy.offsets,
        floor=dict(zip(candidates.names, constants.tolist(), strict=True)),
        floor_share=1.0 - float(np.clip(z - least, 0.0, 1.0)),
    )
