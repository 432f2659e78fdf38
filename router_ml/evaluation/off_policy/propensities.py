r"""Propensities of a log that has none: who served what, learned from the log itself.

Logistic regression, and boosted trees, which find the thresholds that rules are made of, are fitted
to other folds of prompts. Of their mixtures, and of the candidates' shares alone, the one with the
lowest held-out log loss is calibrated by isotonic regression, candidate by candidate:

.. math:: \tilde p_k = \arg\min_{f \text{ rising}} \sum_i
          \big(1\{a_i = k\} - f(\hat p_{ik})\big)^2

Among requests of equal :math:`\tilde p_k` the candidate served just that share, so the weights of
those it served add up to all of them: :math:`\sum_i 1\{a_i = k\} / \tilde p_{ik} = n`, in total and
at every level. A model that is too smooth, as any is of a router that nearly always takes its best
candidate and explores a little, gives the explored requests a fraction of their weight; calibrated,
it does not. A floor, a part of the candidate's share, bounds the weight of a single request.

References
----------
.. [1] van der Laan, Lin, Carone and Luedtke, "Stabilized Inverse Probability Weighting via Isotonic
   Calibration", Causal Learning and Reasoning (CLeaR), 2025.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.optimize import isotonic_regression

from router_ml.data.groups import group_codes
from router_ml.data.outcomes import TrainingTable
from router_ml.evaluation.off_policy.nuisance import FitPredict, cross_fit, logistic_propensities
from router_ml.features.lexical import lexical_features
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray, IntArray

ESTIMATED: Final = "estimated"
FLOOR_SHARE: Final = 0.1
"""Least probability of a candidate, as a part of its share of all requests."""
MIXTURES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the logistic regression, beside trees, that are tried."""
MIN_BOOSTED: Final = 400
"""Requests below which trees are not tried."""
_BUCKETS: Final = 512
_TOPICS: Final = 12
_WORD: Final = re.compile(r"\w+")
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
    """Cross-fitted and calibrated probability of every candidate, shape (n, K).

    Each column is calibrated by itself, so rows add up to one only about.

    Parameters
    ----------
    features : float array, shape (n, d), roughly standardised, without intercept
    action : column of the candidate chosen, shape (n,)
    groups : int codes, shape (n,)
    """
    shares = np.bincount(action, minlength=n_candidates) / len(action)
    probs: FloatArray = np.tile(shares, (len(action), 1))
    if (n_folds := _n_folds(groups)) >= 2 and (shares > 0.0).sum() > 1:
        fitted = [
            cross_fit(groups, model, n_folds=n_folds)
            for model in _models(features, action, n_candidates)
        ]
        probs = mixed(fitted, shares, mixture(fitted, shares, action))
    least = FLOOR_SHARE * np.maximum(shares, 1.0 / len(action))
    floored: FloatArray = np.maximum(isotonic(probs, action), least)
    return floored


def isotonic(probs: FloatArray, action: IntArray) -> FloatArray:
    """Every column as the rising function of it that predicts its candidate best, shape (n, K).

    Examples
    --------
    >>> probs = np.array([[0.4, 0.6], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    >>> isotonic(probs, np.array([0, 0, 0, 1]))[:, 0].tolist()
    [1.0, 1.0, 0.5, 0.5]
    """
    calibrated: FloatArray = np.empty_like(probs)
    for k in range(probs.shape[1]):
        level, of_row, count = np.unique(probs[:, k], return_inverse=True, return_counts=True)
        served = np.bincount(of_row, action == k, minlength=len(level)) / count
        calibrated[:, k] = isotonic_regression(served, weights=count).x[of_row]
    return calibrated


def mixture(fitted: Sequence[FloatArray], shares: FloatArray, action: IntArray) -> float | None:
    """Share of the first model beside the second with the lowest held-out log loss.

    ``None`` where the candidates' shares alone do as well.
    """
    tried = {part: log_loss(mixed(fitted, shares, part), action) for part in (*MIXTURES, None)}
    return min(tried, key=lambda part: (tried[part], part is not None))


def mixed(fitted: Sequence[FloatArray], shares: FloatArray, part: float | None) -> FloatArray:
    """Probabilities of one or two models mixed, or the shares, shape (n, K)."""
    if part is None:
        return np.tile(shares, (len(fitted[0]), 1))
    both: FloatArray = part * fitted[0] + (1.0 - part) * fitted[-1]
    return both


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


def _n_folds(groups: IntArray) -> int:
    return min(5, len(np.unique(groups)))


def behavior_policy(table: TrainingTable, queries: Sequence[Query]) -> FloatArray:
    """Who would have served other queries under the log's own policy, shape (m, K).

    By the same models and mixture as the propensities of the log, fitted to all of it; for a matrix
    of outcomes, which does not know what the company does today.
    """
    everything = query_features([*table.queries, *queries])
    known = np.flatnonzero(table.chosen >= 0)
    return extrapolated_propensities(
        everything,
        known,
        np.arange(len(table), len(everything)),
        table.chosen[known],
        len(table.candidates),
        group_codes(table.group_id)[known],
    )


def extrapolated_propensities(
    features: FloatArray,
    known: IntArray,
    new: IntArray,
    action: IntArray,
    n_candidates: int,
    groups: IntArray,
) -> FloatArray:
    """Probabilities of every candidate for rows ``new``, learned from rows ``known``, shape (m, K).

    Parameters
    ----------
    features : float array, shape (n, d), of all rows
    known, new : rows of ``features``
    action, groups : int arrays, one a known row
    """
    shares = np.bincount(action, minlength=n_candidates) / len(action)
    if (n_folds := _n_folds(groups)) < 2 or (shares > 0.0).sum() < 2:
        return np.tile(shares, (len(new), 1))
    fitted = [
        cross_fit(groups, model, n_folds=n_folds)
        for model in _models(features[known], action, n_candidates)
    ]
    part = mixture(fitted, shares, action)
    everywhere = np.zeros(len(features), dtype=np.int64)
    everywhere[known] = action
    models = _models(features, everywhere, n_candidates)[: len(fitted)]
    return mixed([model(known, new) for model in models], shares, part)
