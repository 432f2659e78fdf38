"""Cascade routing: at every step, the set of further answers that is worth most for its cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.sequential import (
    ACCEPT,
    Score,
    SequentialPolicy,
    Step,
    best_answer,
    check_state,
)
from router_ml.types import BoolArray, FloatArray, IntArray

_CHUNK: Final = 4_000_000
"""Floats of one block of samples (32 MB)."""
_EPSILON: Final = 1e-3

Search = Literal["exact", "greedy"]


class CascadeRoutingPolicy(SequentialPolicy):
    r"""Ask whoever belongs to the best superset of the answers so far.

    Let :math:`b` be the estimate of the best answer so far (0 without any), :math:`\mu_k` the
    quality expected of candidate :math:`k`, and :math:`A_k` how far its answer, once judged, will
    stand above the best one so far. The gain of asking a set :math:`T` is

    .. math:: G(T) = E[\max(0, \max_{k \in T} A_k)] - \lambda \sum_{k \in T} c_k

    with :math:`A` Gaussian, means :math:`\mu_k - b`, and covariance
    :math:`\Omega_{kl} \sqrt{v_k v_l}`; :math:`v` is the uncertainty left, :math:`b (1 - b)`, or
    :math:`\mu_k (1 - \mu_k)` before the first answer. :math:`\Omega` is learned from how estimates
    move when a further answer comes in, and so holds what answers tell of each other. The
    expectation is taken over fixed antithetic draws. Ask the cheapest of the best :math:`T`, accept
    when no :math:`T` gains.

    :math:`G` is submodular but for its additive cost: a candidate that gains nothing alone gains
    nothing in any set. Hence candidates without gain of their own are pruned without loss, and
    the greedy variant (best single candidate) and the exact one agree on when to stop.

    Parameters
    ----------
    cost_weight : :math:`\lambda`, quality per dollar, >= 0
    prior_covariance : shape (K, K), of (estimate of the answer - prior); moves the expectations
        of candidates not asked yet
    start_covariance : shape (K, K), :math:`\Omega` before the first answer
    gain_covariance : shape (K, K), :math:`\Omega` after it
    max_depth : most answers
    search : ``"exact"`` over all sets up to ``max_depth`` answers, or ``"greedy"``
    n_draws : draws of the expectation, even

    References
    ----------
    .. [1] Dekoninck, Baader, Vechev, "A Unified Approach to Routing and Cascading for LLMs",
       ICML 2025. There, estimates of answers already given do not move any more.

    Examples
    --------
    >>> half = [[0.5, 0.0], [0.0, 0.5]]
    >>> policy = CascadeRoutingPolicy(
    ...     cost_weight=1.0, prior_covariance=half, start_covariance=half, gain_covariance=half)
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
        prior_covariance: Sequence[Sequence[float]],
        start_covariance: Sequence[Sequence[float]],
        gain_covariance: Sequence[Sequence[float]],
        max_depth: int = 3,
        search: Search = "exact",
        n_draws: int = 64,
    ) -> None:
        if not (np.isfinite(cost_weight) and cost_weight >= 0):
            raise ConfigError(f"cost_weight must be finite and >= 0, got {cost_weight}")
        if search not in ("exact", "greedy") or max_depth < 1 or n_draws < 2 or n_draws % 2:
            raise ConfigError(
                "search must be 'exact' or 'greedy', max_depth >= 1 and n_draws even and >= 2; got "
                f"{search!r}, {max_depth}, {n_draws}"
            )
        self.cost_weight = cost_weight
        self.prior_covariance = np.asarray(prior_covariance, dtype=float)
        self.start_covariance = np.asarray(start_covariance, dtype=float)
        self.gain_covariance = np.asarray(gain_covariance, dtype=float)
        shape = (len(self.prior_covariance),) * 2
        for value in (self.prior_covariance, self.start_covariance, self.gain_covariance):
            if value.shape != shape or not np.isfinite(value).all():
                raise ConfigError(f"covariances must be finite, shape {shape}, got {value.shape}")
        self.max_depth = min(max_depth, shape[0])
        self.search = search
        self.n_draws = n_draws
        self._start = _draws(self.start_covariance, n_draws)
        self._later = _draws(self.gain_covariance, n_draws)
        self._sets = {
            size: _sets(shape[0], size if search == "exact" else 1)
            for size in range(1, self.max_depth + 1)
        }

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
        mean = self.expected(prior, posterior)
        best = best_answer(posterior)[1]
        for depth in range(self.max_depth):
            rows = np.flatnonzero((answers == depth) & left.any(axis=1))
            sets = self._sets[self.max_depth - depth]
            block = max(1, _CHUNK // (self.n_draws * len(sets)))
            for begin in range(0, len(rows), block):
                r = rows[begin : begin + block]
                action[r], gain[r], cost[r] = self._choose(
                    mean[r], best[r], cost_usd[r], left[r], sets, first=depth == 0
                )
        return Step(action, gain, cost)

    def expected(self, prior: FloatArray, posterior: FloatArray) -> FloatArray:
        r"""Quality expected of every candidate given the answers so far, shape (n, K).

        Gaussian conditioning, :math:`\mu_U = p_U + \Sigma_{US} \Sigma_{SS}^{-1} (q_S - p_S)`, kept
        inside (0, 1); where there is an answer, its estimate.
        """
        mean = np.where(np.isnan(posterior), prior, posterior)
        known = ~np.isnan(posterior)
        keys = known @ (1 << np.arange(known.shape[1], dtype=np.int64))
        for key in np.unique(keys).tolist():
            rows = np.flatnonzero(keys == key)
            s = np.flatnonzero(known[rows[0]])
            u = np.flatnonzero(~known[rows[0]])
            if not len(s) or not len(u):
                continue
            inner = self.prior_covariance[np.ix_(s, s)]
            inner = inner + 0.05 * np.diag(inner).mean() * np.eye(len(s)) + 1e-9 * np.eye(len(s))
            weights = np.linalg.solve(inner, self.prior_covariance[np.ix_(s, u)])
            at = np.ix_(rows, u)
            moved = posterior[np.ix_(rows, s)] - prior[np.ix_(rows, s)]
            mean[at] = prior[at] + moved @ weights
        return np.clip(mean, _EPSILON, 1.0 - _EPSILON)

    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments."""
        return {
            "name": self.name,
            "cost_weight": self.cost_weight,
            "prior_covariance": self.prior_covariance.round(6).tolist(),
            "start_covariance": self.start_covariance.round(6).tolist(),
            "gain_covariance": self.gain_covariance.round(6).tolist(),
            "max_depth": self.max_depth,
            "search": self.search,
            "n_draws": self.n_draws,
        }

    def at(self, cost_weight: float) -> CascadeRoutingPolicy:
        """The same policy at another cost weight."""
        arguments = {k: v for k, v in self.to_dict().items() if k != "name"}
        return CascadeRoutingPolicy(**{**arguments, "cost_weight": cost_weight})

    def _choose(
        self,
        mean: FloatArray,
        best: FloatArray,
        cost_usd: FloatArray,
        left: BoolArray,
        sets: IntArray,
        *,
        first: bool,
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Action, gross gain of the best set, and cost of the action, shape (n,) each."""
        spread = np.sqrt(mean * (1 - mean)) if first else np.sqrt(best * (1 - best))[:, None]
        draws = self._start if first else self._later
        ahead = (mean - best[:, None])[:, None, :] + draws * spread[:, None, :]
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

    @classmethod
    def fit(
        cls,
        score: Score,
        prior: FloatArray,
        cost_usd: FloatArray,
        *,
        cost_weight: float = 0.0,
        max_depth: int = 3,
        search: Search = "exact",
        n_anchors: int = 3,
    ) -> CascadeRoutingPolicy:
        """Learn the covariances; :func:`router_ml.evaluation.cascades.solve` finds the cost weight.

        Parameters
        ----------
        score : estimates of answers the scorer was *not* fitted on
        prior : shape (n, K), out-of-fold quality predictions
        cost_usd : shape (n, K), expected dollars
        n_anchors : candidates, the most useful for their price, that stand for "an answer is there"
        """
        n, k = prior.shape
        rows = np.arange(n)
        own = np.full((n, k), np.nan)
        for j in range(k):
            own[:, j] = score(rows, np.broadcast_to(np.eye(k, dtype=bool)[j], (n, k)))[:, j]
        p = np.clip(prior, _EPSILON, 1 - _EPSILON)
        moved = own - p
        z = moved / np.sqrt(p * (1 - p))
        blank = np.zeros((k, k))
        policy = cls(
            cost_weight=cost_weight,
            prior_covariance=np.cov(moved.T).reshape(k, k).tolist(),
            start_covariance=blank.tolist(),
            gain_covariance=blank.tolist(),
            max_depth=max_depth,
            search=search,
        )
        order = np.argsort(cost_usd.mean(axis=0), kind="stable")
        # Anchors: the undominated, cheapest first: whose answers a cascade starts from.
        best_before = np.r_[-np.inf, np.maximum.accumulate(prior.mean(axis=0)[order])[:-1]]
        anchors = order[prior.mean(axis=0)[order] > best_before][:n_anchors]
        total = np.zeros((k, k))
        counts = np.zeros((k, k))
        for a in anchors.tolist():
            change = policy._advantage(score, prior, own, a)
            seen = np.isfinite(change)
            filled = np.where(seen, change, 0.0)
            total += filled.T @ filled
            counts += seen.astype(float).T @ seen.astype(float)
        omega = np.where(counts > 0, total / np.maximum(counts, 1), 0.0)
        diagonal = np.diag(omega).copy()
        diagonal[diagonal == 0] = diagonal[diagonal > 0].mean() if (diagonal > 0).any() else 0.0
        np.fill_diagonal(omega, diagonal)
        return cls(
            cost_weight=cost_weight,
            prior_covariance=policy.prior_covariance.tolist(),
            start_covariance=((z.T @ z) / n).tolist(),
            gain_covariance=omega.tolist(),
            max_depth=max_depth,
            search=search,
        )

    def _advantage(
        self, score: Score, prior: FloatArray, own: FloatArray, anchor: int
    ) -> FloatArray:
        """Standardised surprise of each candidate's lead over the anchor's answer, (n, K)."""
        n, k = prior.shape
        rows = np.arange(n)
        posterior = np.full((n, k), np.nan)
        posterior[:, anchor] = own[:, anchor]
        mean = self.expected(prior, posterior)
        b = np.clip(own[:, anchor], _EPSILON, 1 - _EPSILON)
        out = np.full((n, k), np.nan)
        for j in range(k):
            if j == anchor:
                continue
            asked = np.zeros((n, k), dtype=bool)
            asked[:, [anchor, j]] = True
            both = score(rows, asked)
            lead = both[:, j] - both[:, anchor]
            out[:, j] = (lead - (mean[:, j] - b)) / np.sqrt(b * (1 - b))
        return out


def _draws(covariance: FloatArray, n_draws: int) -> FloatArray:
    """Antithetic Gaussian draws, shape (n_draws, K), the same in every process."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = np.random.default_rng(0).standard_normal((n_draws // 2, len(covariance)))
    half /= np.sqrt((half**2).mean(axis=0))
    draws: FloatArray = np.concatenate([half, -half]) @ root.T
    return draws


def _sets(k: int, size: int) -> IntArray:
    """All sets of 1 to ``size`` of k candidates, one a row, filled up with ``k`` for nobody."""
    rows = [
        (*members, *((k,) * (size - len(members))))
        for m in range(1, size + 1)
        for members in itertools.combinations(range(k), m)
    ]
    return np.array(rows, dtype=np.int64)
