r"""Propensities of a log that has none: who served what, learned from the log itself.

Three models of the behaviour policy are fitted to other folds of prompts: the candidates' shares
alone, logistic regression, and boosted trees, which find the thresholds that rules are made of. The
one with the lowest held-out log loss is drawn towards the shares by

.. math:: p_{ik} = (1 - \epsilon)\,\hat p_{ik} + \epsilon\, s_k

with the :math:`\epsilon` of the lowest held-out log loss, scaled so that its mean is the share that
was observed, and floored at a part of that share, so that no request weighs more than the share of
its candidate can bear.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from router_ml.data.groups import group_codes
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.nuisance import FitPredict, cross_fit, logistic_propensities
from router_ml.features.lexical import lexical_features
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray, IntArray

ESTIMATED: Final = "estimated"
FLOOR_SHARE: Final = 0.1
"""Least probability of a candidate, as a part of its share of all requests."""
POOLING: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Weights of the shares that are tried."""
MIN_BOOSTED: Final = 400
"""Requests below which trees are not tried."""
_BUCKETS: Final = 512
_TOPICS: Final = 12
_WORD: Final = re.compile(r"\w+")
_CALIBRATION_STEPS: Final = 30
_TREES: Final[dict[str, Any]] = {
    "n_estimators": 80,
    "learning_rate": 0.1,
    "num_leaves": 8,
    "min_child_samples": 30,
    "reg_lambda": 5.0,
    "subsample": 0.8,
    "subsample_freq": 1,
    "random_state": 0,
    "deterministic": True,
    "force_col_wise": True,
    "n_jobs": 1,
    "verbose": -1,
}


def with_propensities(table: TrainingTable) -> TrainingTable:
    """The same log with a propensity for every request; estimated where some were not logged.

    Estimates replace logged propensities too, where only some are: a mixture of both would weigh
    the two kinds of rows differently.
    """
    if len(table) == 0 or np.isfinite(table.propensity).all():
        return table
    features = query_features(table.queries)
    probs = estimated_propensities(
        features, table.chosen, len(table.candidates), group_codes(table.group_id)
    )
    rows = np.arange(len(table))
    return replace(table, propensity=probs[rows, table.chosen], propensity_source=ESTIMATED)


def estimated_propensities(
    features: FloatArray, action: IntArray, n_candidates: int, groups: IntArray
) -> FloatArray:
    """Cross-fitted, pooled, calibrated and floored action probabilities, shape (n, K).

    Parameters
    ----------
    features : float array, shape (n, d), roughly standardised, without intercept
    action : column of the candidate chosen, shape (n,)
    groups : int codes, shape (n,)
    """
    shares = np.bincount(action, minlength=n_candidates) / len(action)
    pooled = np.tile(shares, (len(action), 1))
    n_folds = min(5, len(np.unique(groups)))
    if n_folds >= 2 and (shares > 0.0).sum() > 1:
        fitted = [
            cross_fit(groups, model, n_folds=n_folds)
            for model in _models(features, action, n_candidates)
        ]
        tried = [
            (1.0 - epsilon) * probs + epsilon * shares for probs in fitted for epsilon in POOLING
        ]
        pooled = min(tried, key=lambda probs: log_loss(probs, action))
    return _floored(_calibrated(pooled, shares), shares)


def log_loss(probs: FloatArray, action: IntArray) -> float:
    """Mean negative log probability of what was chosen."""
    chosen = np.maximum(probs[np.arange(len(action)), action], 1e-12)
    return float(-np.log(chosen).mean())


def query_features(queries: Sequence[Query]) -> FloatArray:
    """What a rule may look at: lexical counts, and topics of the words; shape (n, d), standardised.

    Equal queries share one object, which is read once.
    """
    distinct = {id(query): query for query in queries}
    position = {key: i for i, key in enumerate(distinct)}
    known = list(distinct.values())
    lexical = np.stack([lexical_features(query) for query in known]).astype(float)
    parts = np.column_stack([lexical, _topics(known)])
    spread = parts.std(axis=0)
    varied = parts[:, spread > 1e-9]
    scaled: FloatArray = (varied - varied.mean(axis=0)) / varied.std(axis=0)
    return scaled[[position[id(query)] for query in queries]]


def _topics(queries: Sequence[Query]) -> FloatArray:
    """Leading directions of the words that occur, hashed, shape (n, at most ``_TOPICS``)."""
    words = np.zeros((len(queries), _BUCKETS), dtype=np.float32)
    for row, query in enumerate(queries):
        text = f"{query.text}\n{query.tools_text}"[:2_000].lower()
        buckets = {zlib.crc32(word.encode("utf-8", "replace")) % _BUCKETS
                   for word in set(_WORD.findall(text))}  # fmt: skip
        words[row, list(buckets)] = 1.0
    words -= words.mean(axis=0)
    words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-6)
    values, vectors = np.linalg.eigh(words.T @ words)
    leading = vectors[:, np.argsort(values)[::-1][:_TOPICS]]
    topics: FloatArray = (words @ leading).astype(float)
    return topics


def _models(features: FloatArray, action: IntArray, n_candidates: int) -> list[FitPredict]:
    def trees(train: IntArray, test: IntArray) -> FloatArray:
        import lightgbm

        seen = np.unique(action[train])
        probs = np.full((len(test), n_candidates), 1e-4)
        if len(seen) == 1:
            probs[:, seen] = 1.0
            return probs
        model = lightgbm.LGBMClassifier(**_TREES)
        model.fit(features[train], action[train])
        told = np.asarray(model.booster_.predict(features[test], num_threads=1), dtype=float)
        probs[:, seen] = np.maximum(told if len(seen) > 2 else _both(told), 1e-4)
        probs /= probs.sum(axis=1, keepdims=True)
        return probs

    models: list[FitPredict] = [logistic_propensities(features, action, n_candidates)]
    if len(action) >= MIN_BOOSTED:
        models.append(trees)
    return models


def _both(second: FloatArray) -> FloatArray:
    """Probabilities of two classes from that of the second."""
    return np.column_stack([1.0 - second, second])


def _calibrated(probs: FloatArray, shares: FloatArray) -> FloatArray:
    """Scaled by candidate until their means are the observed shares (proportional fitting)."""
    for _ in range(_CALIBRATION_STEPS):
        probs = probs * (shares / np.maximum(probs.mean(axis=0), 1e-12))
        probs = probs / probs.sum(axis=1, keepdims=True)
    return probs


def _floored(probs: FloatArray, shares: FloatArray) -> FloatArray:
    """At least a part of each candidate's share, rows summing to one.

    By mixing: raising only what is below the floor has less bias and a larger error.
    """
    return (1.0 - FLOOR_SHARE) * probs + FLOOR_SHARE * shares


def behavior_policy(table: TrainingTable, queries: Sequence[Query]) -> FloatArray:
    """Who would have served other queries under the log's own policy, shape (m, K).

    By the same models and pooling as the propensities of the log, fitted to all of it; for a matrix
    of outcomes, which does not know what the company does today.
    """
    everything = query_features([*table.queries, *queries])
    known = np.flatnonzero(table.chosen >= 0)
    new = np.arange(len(table), len(everything))
    action = np.append(table.chosen, np.zeros(len(queries), dtype=np.int64))
    k = len(table.candidates)
    shares = np.bincount(table.chosen[known], minlength=k) / len(known)
    groups = group_codes(table.group_id)[known]
    n_folds = min(5, len(np.unique(groups)))
    if n_folds < 2 or (shares > 0.0).sum() < 2:
        return np.tile(shares, (len(queries), 1))
    best: tuple[float, float, FitPredict] | None = None
    inside = _models(everything[known], table.chosen[known], k)
    for model, whole in zip(inside, _models(everything, action, k), strict=False):
        probs = cross_fit(groups, model, n_folds=n_folds)
        for epsilon in POOLING:
            loss = log_loss((1.0 - epsilon) * probs + epsilon * shares, table.chosen[known])
            if best is None or loss < best[0]:
                best = (loss, epsilon, whole)
    if best is None:
        return np.tile(shares, (len(queries), 1))
    _, epsilon, whole = best
    pooled: FloatArray = (1.0 - epsilon) * whole(known, new) + epsilon * shares
    return pooled
