r"""Logs of several versions as one: what each version would have done with every request.

With propensities of the mixture of all versions, weights are never larger than the largest of the
single versions', and the variance of importance weighting is the least that any fixed combination
of the logs has [1]_ [2]_. Two things must be known for it.

**What version j would have chosen.** In this order: replayed by its bundle, where that gives the
probabilities which version j logged for its own requests; read off, where version j logged the same
probabilities for all; else estimated from what it logged, by models that have not seen the prompt.
A version of which nothing can be said keeps its own propensities.

**How likely a request was to come to version j.** Where versions follow each other and traffic
moves, that depends on the request: it is estimated as propensities are, and is the versions' shares
where no model tells them apart.

Where versions are estimated, the weights of every candidate are made to add up to the log in total,
and must do so over what is known of the requests, as right ones do: :math:`E[1\{a = k\} / \bar p_k
\mid x] = 1`. Else estimated versions keep their own propensities.

References
----------
.. [1] Agarwal, Basu, Schnabel and Joachims, "Effective Evaluation using Logged Bandit Feedback from
   Multiple Loggers", KDD 2017.
.. [2] Kallus, Saito and Uehara, "Optimal Off-Policy Evaluation from Multiple Logging Policies",
   ICML 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from router_ml.data.groups import distinct_rows, group_codes
from router_ml.data.loggers import Loggers
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.propensities import (
    estimated_propensities,
    extrapolated_propensities,
    query_features,
    with_propensities,
)
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

AGREES: Final = 0.95
"""Share of a version's own requests whose logged probability its bundle must give again."""
TOLERANCE: Final = 0.01
"""Difference of probabilities that counts as none."""
MIN_REQUESTS: Final = 200
"""Requests of a version below which nothing is estimated of it."""
MAX_ESTIMATED: Final = 8
"""Versions that are estimated, those with the most requests; each takes a dozen small fits."""
MIN_ROWS: Final = 10
"""Requests of a candidate below which nothing is said of its weights."""
_LEAST: Final = 1e-6


def with_behavior(
    table: TrainingTable, routers: Mapping[str, Runtime] | None = None
) -> TrainingTable:
    """The same log with a propensity for every request, and balanced over its versions.

    Parameters
    ----------
    routers : as for :func:`with_loggers`
    """
    return with_loggers(with_propensities(table), routers)


def with_loggers(
    table: TrainingTable,
    routers: Mapping[str, Runtime] | None = None,
    *,
    features: FloatArray | None = None,
) -> TrainingTable:
    """The same log, with what every version would have chosen, where several served it.

    Parameters
    ----------
    routers : version, as ``policy_version`` has it, to its runtime; those at hand
    features : of the queries, shape (n, d), if they are there already

    Returns
    -------
    The table with ``loggers``; as it is where one version served all, or propensities are unknown.
    """
    known = np.isfinite(table.propensity).all()
    if table.loggers is not None or not known or len(set(table.policy_version)) < 2:
        return table
    own = group_codes(table.policy_version)
    names = tuple(str(name) for name in np.unique(np.asarray(table.policy_version)))
    features = query_features(table.queries) if features is None else features
    large = set(np.argsort(-np.bincount(own), kind="stable")[:MAX_ESTIMATED].tolist())
    versions = [
        _version(table, own == j, features, (routers or {}).get(name), estimate=j in large)
        for j, name in enumerate(names)
    ]
    loggers = Loggers(
        names=names,
        own=own,
        probs=np.stack([version.chosen for version in versions], axis=1),
        share=request_shares(features, own, group_codes(table.group_id)),
        balanced=np.array([version.known for version in versions]),
        sources=tuple(version.source for version in versions),
    )
    estimated = np.array([version.estimated for version in versions])
    return replace(table, loggers=checked(loggers, table.chosen, features, estimated))


@dataclass(frozen=True, slots=True)
class _Version:
    """What is known of one version: the probability of every request's choice, shape (n,)."""

    chosen: FloatArray
    source: str
    known: bool = True
    estimated: bool = False


def _version(
    table: TrainingTable,
    own: BoolArray,
    features: FloatArray,
    router: Runtime | None,
    *,
    estimate: bool,
) -> _Version:
    allowed = _allowed(table, own)
    said = "unknown elsewhere"
    if router is not None:
        chosen = _of_choice(replayed(router, table, allowed), table)
        agree = float(np.mean(np.abs(chosen - table.propensity)[own] <= TOLERANCE))
        if agree >= AGREES:
            return _Version(
                np.where(own, table.propensity, chosen),
                f"replayed by its bundle, which gives {agree:.1%} of its logged propensities again",
            )
        said = f"its bundle gives only {agree:.0%} of its logged propensities again"
    probs = table.action_probs[own]
    if np.isfinite(probs).all() and np.ptp(probs, axis=0).max() <= _LEAST:
        fixed = np.tile(probs[0], (len(table), 1))
        return _Version(_elsewhere(fixed, table, own, allowed), "the same for every request")
    if estimate and own.sum() >= MIN_REQUESTS:
        guess = estimated_policy(features, table, own)
        return _Version(_elsewhere(guess, table, own, allowed), "estimated elsewhere", True, True)
    nothing = np.where(own, table.propensity, np.nan)
    return _Version(nothing, said, known=False)


def _elsewhere(
    probs: FloatArray, table: TrainingTable, own: BoolArray, allowed: BoolArray
) -> FloatArray:
    """Probability of every choice: as logged on own rows, elsewhere by ``probs`` among allowed."""
    kept = np.where(allowed, probs, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    kept = np.divide(kept, total, out=np.zeros_like(kept), where=total > 0.0)
    return np.where(own, table.propensity, _of_choice(kept, table))


def _of_choice(probs: FloatArray, table: TrainingTable) -> FloatArray:
    """Probability of what was chosen, shape (n,); as logged where that has no column."""
    chosen = probs[np.arange(len(table)), np.maximum(table.chosen, 0)]
    return np.where(table.chosen >= 0, chosen, table.propensity)


def _allowed(table: TrainingTable, own: BoolArray) -> BoolArray:
    """Whom the version of rows ``own`` could have chosen for every request, shape (n, K).

    All that it ever had on offer, but for those that the request itself ruled out: on offer by the
    version that served it, and not eligible.
    """
    version = group_codes(table.policy_version)
    offered = np.stack([table.eligible[version == j].any(axis=0) for j in np.unique(version)])
    ruled_out = offered[version] & ~table.eligible
    allowed: BoolArray = table.eligible[own].any(axis=0) & ~ruled_out
    return np.where(allowed.any(axis=1, keepdims=True), allowed, table.eligible)


def replayed(router: Runtime, table: TrainingTable, allowed: BoolArray) -> FloatArray:
    """What a router would have chosen for a log's requests, shape (n, K)."""
    first, code = distinct_rows(table.query_id)
    predictions = router.predict(tuple(table.queries[i] for i in first)).take(code)
    position = {name: k for k, name in enumerate(table.candidates)}
    column = np.array([position.get(name, -1) for name in router.candidates.names])
    eligible = np.where(column >= 0, allowed[:, column], False)
    eligible |= ~eligible.any(axis=1, keepdims=True)
    probs = router.policy.action_probs(predictions, router.candidates, eligible=eligible)
    wide = np.zeros(allowed.shape)
    wide[:, column[column >= 0]] = probs[:, column >= 0]
    return wide


def estimated_policy(features: FloatArray, table: TrainingTable, own: BoolArray) -> FloatArray:
    r"""What a version would have chosen, learned from its own requests, shape (n, K).

    Where it logged its probabilities, models learn which candidate it preferred, and the
    distribution is the mean one of requests with that preference; else they learn whom it chose.
    """
    k = len(table.candidates)
    known, new = np.flatnonzero(own), np.flatnonzero(~own)
    probs = table.action_probs[own]
    logged = bool(np.isfinite(probs).all())
    kind = probs.argmax(axis=1) if logged else np.maximum(table.chosen[own], 0)
    mean = np.eye(k)
    if logged:
        for j in np.unique(kind):
            mean[j] = probs[kind == j].mean(axis=0)
    groups = group_codes(table.group_id)[own]
    guess = np.zeros((len(table), k))
    guess[new] = extrapolated_propensities(features, known, new, kind, k, groups) @ mean
    return guess


def request_shares(features: FloatArray, own: IntArray, groups: IntArray) -> FloatArray:
    """Probability that a request like each one came to each version, shape (n, J).

    Cross-fitted; the versions' shares alone where that predicts as well.
    """
    share = estimated_propensities(features, own, int(own.max()) + 1, groups)
    normal: FloatArray = share / share.sum(axis=1, keepdims=True)
    return normal


def checked(
    loggers: Loggers, chosen: IntArray, features: FloatArray, estimated: BoolArray
) -> Loggers:
    """Balanced over estimated versions, too, if weights then add up to the log; else without them.

    In total they are made to, candidate by candidate; what is tested is whether they do on either
    side of every feature's median.

    Parameters
    ----------
    chosen : int array, shape (n,)
    estimated : bool array, shape (J,)
    """
    if not (estimated & loggers.balanced).any():
        return loggers
    tried = replace(loggers, scale=totals(loggers.propensity, chosen))
    if misses(tried.propensity, chosen, features) <= 1.0:
        return tried
    sources = [
        f"{source}, and not used: weights would not add up" if guessed else source
        for source, guessed in zip(loggers.sources, estimated, strict=True)
    ]
    return replace(loggers, balanced=loggers.balanced & ~estimated, sources=tuple(sources))


def totals(propensity: FloatArray, chosen: IntArray) -> FloatArray:
    """What the weights of each row's candidate come to, over the number of rows, shape (n,).

    One where fewer than ten requests tell of a candidate.
    """
    rows = np.maximum(chosen, 0)
    count = np.bincount(rows, chosen >= 0)
    total = np.bincount(rows, (chosen >= 0) / propensity) / len(chosen)
    of_candidate = np.where(count >= MIN_ROWS, total, 1.0)
    return np.where(chosen >= 0, of_candidate[rows], 1.0)


def misses(propensity: FloatArray, chosen: IntArray, features: FloatArray) -> float:
    """By how much weights miss adding up to the log, in multiples of what chance allows.

    The largest of the standardised means of ``(1{a = k} / p - 1) * phi(x)`` over candidates and
    features, ``phi`` being one, or whether the feature is above its median; at the level of one in
    a hundred for all of them.
    """
    from scipy.special import ndtri

    n = len(chosen)
    phi = np.column_stack([np.ones(n), features > np.median(features, axis=0)])
    worst = 0.0
    candidates = [k for k in np.unique(chosen[chosen >= 0]) if (chosen == k).sum() >= MIN_ROWS]
    for k in candidates:
        excess = (np.where(chosen == k, 1.0 / propensity, 0.0) - 1.0)[:, None] * phi
        error = excess.std(axis=0) / np.sqrt(n)
        worst = max(worst, float(np.max(np.abs(excess.mean(axis=0)) / np.maximum(error, 1e-12))))
    limit = -float(ndtri(0.005 / (max(len(candidates), 1) * phi.shape[1])))
    return worst / limit
