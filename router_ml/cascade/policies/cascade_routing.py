"""Cascade routing: at every step, the set of further answers that is worth most for its cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from router_ml.cascade.policies.leads import (
    EPSILON,
    N_INPUTS,
    gaussian_draws,
    lead_inputs,
    spread_of,
)
from router_ml.cascade.policies.sequential import (
    ACCEPT,
    SequentialPolicy,
    Step,
    best_answer,
    check_state,
)
from router_ml.errors import ConfigError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

_CHUNK: Final = 4_000_000
"""Floats of one block of samples (32 MB)."""
Matrix = Sequence[Sequence[float]] | FloatArray


class CascadeRoutingPolicy(SequentialPolicy):
    r"""Ask whoever belongs to the best superset of the answers so far.

    Let :math:`b` be the estimate of the best answer so far and :math:`A_k` the lead of candidate
    :math:`k`: how far its answer, once judged, will stand above the best of the others (before the
    first answer, its estimate itself). The gain of asking a set :math:`T` is

    .. math:: G(T) = E[\max(0, \max_{k \in T} A_k)] - \lambda \sum_{k \in T} c_k

    with Gaussian :math:`A`. Before the first answer its mean is the prior :math:`p_k` and its
    spread :math:`\sqrt{p_k (1 - p_k)}`; later the mean is linear in :math:`b, b^2`, the prior of
    the best and :math:`p_k`, and the spread :math:`\sqrt{b (1 - b)}`; covariances are learned, and
    so hold what answers tell of each other. The expectation is taken over fixed antithetic draws.
    Ask the cheapest of the best :math:`T`; accept when no :math:`T` gains.

    The expectation is submodular: a candidate that does not pay alone pays in no set. So the greedy
    variant (sets of one) and the exact one (sets as large as ``max_depth`` leaves room for) agree
    on when to stop, and differ only in whom to ask. Sets of two see what greed does not: that a
    cheap answer first leaves the dear one open.

    Parameters
    ----------
    cost_weight : :math:`\lambda`, quality per dollar, >= 0
    start_covariance : shape (K, K), before the first answer, in units of the spread
    lead_coef : shape (K, 5), of 1, :math:`b`, :math:`b^2`, prior of the best, own prior
    lead_covariance : shape (K, K), after the first answer, in units of the spread
    max_depth : most answers
    lookahead : largest set considered, >= 1; 1 is greedy, ``max_depth`` exact
    n_draws : draws of the expectation, even

    References
    ----------
    .. [1] Dekoninck, Baader, Vechev, "A Unified Approach to Routing and Cascading for LLMs",
       ICML 2025. There the estimates of answers already given do not move any more.

    Examples
    --------
    >>> half = [[0.5, 0.0], [0.0, 0.5]]
    >>> lead = [[0.0, -1.0, 0.0, 0.0, 1.0]] * 2  # own prior less the best estimate
    >>> policy = CascadeRoutingPolicy(
    ...     cost_weight=1.0, start_covariance=half, lead_coef=lead, lead_covariance=half)
    >>> prior, cost = np.array([[0.7, 0.9]] * 3), np.array([[0.001, 0.1]] * 3)
    >>> posterior = np.array([[np.nan, np.nan], [0.98, np.nan], [0.3, np.nan]])
    >>> policy.step(prior, cost, posterior).action
    array([ 0, -1,  1])
    """

    name: ClassVar[str] = "cascade_routing"

    def __init__(
        self,
        *,
        cost_weight: float,
        start_covariance: Matrix,
        lead_coef: Matrix,
        lead_covariance: Matrix,
        max_depth: int = 5,
        lookahead: int = 2,
        n_draws: int = 64,
    ) -> None:
        if not (np.isfinite(cost_weight) and cost_weight >= 0):
            raise ConfigError(f"cost_weight must be finite and >= 0, got {cost_weight}")
        if min(max_depth, lookahead) < 1 or n_draws < 2 or n_draws % 2:
            raise ConfigError(
                "max_depth and lookahead must be >= 1 and n_draws even and >= 2, got "
                f"{max_depth}, {lookahead} and {n_draws}"
            )
        self.cost_weight = cost_weight
        self.start_covariance = np.asarray(start_covariance, dtype=float)
        self.lead_coef = np.asarray(lead_coef, dtype=float)
        self.lead_covariance = np.asarray(lead_covariance, dtype=float)
        k = len(self.start_covariance)
        for value, shape in (
            (self.start_covariance, (k, k)),
            (self.lead_coef, (k, N_INPUTS)),
            (self.lead_covariance, (k, k)),
        ):
            if value.shape != shape or not np.isfinite(value).all():
                raise ConfigError(f"expected finite numbers of shape {shape}, got {value.shape}")
        self.max_depth = min(max_depth, k)
        self.lookahead = lookahead
        self.n_draws = n_draws
        self._start = gaussian_draws(self.start_covariance, n_draws)
        self._later = gaussian_draws(self.lead_covariance, n_draws)
        self._sets = {size: _sets(k, min(size, lookahead)) for size in range(1, self.max_depth + 1)}

    def step(
        self,
        prior: FloatArray,
        cost_usd: FloatArray,
        posterior: FloatArray,
        blocked: BoolArray | None = None,
    ) -> Step:
        """Accept, or the cheapest member of the best set."""
        left = check_state(prior, cost_usd, posterior, blocked)
        n = len(prior)
        answers = (~np.isnan(posterior)).sum(axis=1)
        action = np.full(n, ACCEPT)
        gain, cost = np.zeros(n), np.zeros(n)
        position, best = best_answer(posterior)
        lead = (lead_inputs(prior, position, best) * self.lead_coef).sum(axis=2)
        start = np.clip(prior, EPSILON, 1 - EPSILON)
        first = answers[:, None] == 0
        mean = np.where(first, start, lead)
        spread = np.where(first, np.sqrt(start * (1 - start)), spread_of(best)[:, None])
        for depth in range(self.max_depth):
            rows = np.flatnonzero((answers == depth) & left.any(axis=1))
            sets = self._sets[self.max_depth - depth]
            block = max(1, _CHUNK // (self.n_draws * len(sets)))
            for begin in range(0, len(rows), block):
                r = rows[begin : begin + block]
                action[r], gain[r], cost[r] = self._choose(
                    mean[r], spread[r], cost_usd[r], left[r], sets, first=depth == 0
                )
        return Step(action, gain, cost)

    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments."""
        return {
            "name": self.name,
            "cost_weight": self.cost_weight,
            "start_covariance": self.start_covariance.round(6).tolist(),
            "lead_coef": self.lead_coef.round(6).tolist(),
            "lead_covariance": self.lead_covariance.round(6).tolist(),
            "max_depth": self.max_depth,
            "lookahead": self.lookahead,
            "n_draws": self.n_draws,
        }

    def at(self, cost_weight: float) -> CascadeRoutingPolicy:
        """The same policy at another cost weight."""
        arguments = {k: v for k, v in self.to_dict().items() if k != "name"}
        return CascadeRoutingPolicy(**{**arguments, "cost_weight": cost_weight})

    def _choose(
        self,
        mean: FloatArray,
        spread: FloatArray,
        cost_usd: FloatArray,
        left: BoolArray,
        sets: IntArray,
        *,
        first: bool,
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Action, gross gain of the best set, and cost of the action, shape (n,) each."""
        draws = self._start if first else self._later
        ahead = mean[:, None, :] + draws * spread[:, None, :]
        ahead = np.where(left[:, None, :], np.maximum(ahead, 0.0), 0.0)
        price = np.where(left, self.cost_weight * cost_usd, np.inf)
        # A column of zeros stands for "nobody" where a set is smaller than the widest.
        ahead = np.concatenate([ahead, np.zeros((*ahead.shape[:2], 1))], axis=2)
        price = np.concatenate([price, np.zeros((len(price), 1))], axis=1)
        top = ahead[:, :, sets[:, 0]]
        for column in sets.T[1:]:
            top = np.maximum(top, ahead[:, :, column])
        gross = top.mean(axis=1)
        net = gross - price[:, sets].sum(axis=2)
        rows = np.arange(len(net))
        pick = net.argmax(axis=1)
        members = sets[pick]
        member_price = np.where(members < left.shape[1], price[rows[:, None], members], np.inf)
        action = members[rows, member_price.argmin(axis=1)]
        # Without any answer somebody must be asked, even if it does not pay.
        go = (net[rows, pick] > 0.0) | (first & left.any(axis=1))
        return (
            np.where(go, action, ACCEPT),
            np.where(go, gross[rows, pick], 0.0),
            np.where(go, cost_usd[rows, np.minimum(action, left.shape[1] - 1)], 0.0),
        )


def _sets(k: int, size: int) -> IntArray:
    """All sets of 1 to ``size`` of k candidates, one a row, filled up with ``k`` for nobody."""
    rows = [
        (*members, *((k,) * (size - len(members))))
        for m in range(1, size + 1)
        for members in itertools.combinations(range(k), m)
    ]
    return np.array(rows, dtype=np.int64)
