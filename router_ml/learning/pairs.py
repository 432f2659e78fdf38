"""Comparisons of two candidates as labels of both: what pairs teach an estimator of quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from router_ml.data.preferences import Preferences
from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import held_out_by
from router_ml.estimators.effects import split_effects
from router_ml.estimators.router import Outcomes
from router_ml.features.query import Query
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch

_CENTRE: Final = 0.5
_RIDGE: Final = 1e-3
"""Comparisons by which a candidate's level is drawn to one half: keeps levels unique."""

Features = Callable[[Sequence[Query]], QueryBatch]


def with_pairs(
    data: TrainingSet, pairs: Preferences, quality: Estimator, features: Features
) -> TrainingSet:
    r"""The training set with two weighted labels for every comparison.

    .. math:: y_a = m + \tfrac d2, \quad y_b = m - \tfrac d2, \quad d \in \{-1, 0, 1\}

    A comparison tells the difference of two qualities, in units of the rate at which one wins less
    that at which it loses, and nothing of their mean m. So m is what is known from elsewhere: in
    a first pass the two candidates' levels, found by least squares over all comparisons and labels
    (linear Bradley-Terry); in a second the mean of the two qualities that an estimator fitted to
    the first predicts out of fold. Without the second pass differences between queries come out
    at half their size. A tie says that the difference is zero, whether both are good or both bad.

    Parameters
    ----------
    data : of the log; its labels, if it has any, set the scale
    pairs : training comparisons, candidates as those of ``data``
    quality : unfitted; fitted once
    features : of queries that the log does not have

    References
    ----------
    .. [1] Bradley and Terry, "Rank Analysis of Incomplete Block Designs", Biometrika 39, 1952.
    .. [2] Chiang et al., "Chatbot Arena: An Open Platform for Evaluating LLMs by Human
       Preference", ICML 2024.
    """
    data, row = _with_queries(data, pairs, features)
    level = pair_levels(data.outcomes.quality, _weights(data), pairs)
    first = _labelled(data, pairs, row, (level[pairs.a] + level[pairs.b]) / 2.0)
    seen = first.outcomes
    _, predicted = held_out_by(
        quality,
        first.batch,
        seen.quality,
        candidates=first.candidates,
        weight=_weights(first),
        groups=first.groups,
    )
    middle = (predicted[row, pairs.a] + predicted[row, pairs.b]) / 2.0
    return _labelled(data, pairs, row, middle)


def pair_levels(Y: FloatArray, weight: FloatArray, pairs: Preferences) -> FloatArray:
    """Mean quality of every candidate from labels and comparisons together, shape (K,).

    Comparisons alone leave the mean of all open: it is one half then.

    Parameters
    ----------
    Y, weight : labels, shape (n, K); weight zero where there is none

    Examples
    --------
    >>> from router_ml.checks.examples import example_pairs
    >>> pairs = example_pairs([(0, 1, "a"), (0, 1, "a"), (0, 1, "b"), (0, 1, "tie")])
    >>> pair_levels(np.zeros((0, 2)), np.zeros((0, 2)), pairs).round(2).tolist()
    [0.62, 0.38]
    """
    k = len(pairs.candidates)
    told, labelled = np.full(k, _CENTRE), np.full(k, _RIDGE)
    if (weight > 0).any():
        told = split_effects(np.nan_to_num(Y), weight > 0, weight).level
        labelled = labelled + weight.sum(axis=0)
    gram, moment = np.diag(labelled), labelled * told
    w, d = pairs.weight, pairs.weight * pairs.lead
    for one, other, sign in ((pairs.a, pairs.b, 1.0), (pairs.b, pairs.a, -1.0)):
        np.add.at(gram, (one, one), w)
        np.add.at(gram, (one, other), -w)
        np.add.at(moment, one, sign * d)
    levels: FloatArray = np.linalg.solve(gram, moment)
    return levels


def _weights(data: TrainingSet) -> FloatArray:
    Y, weight = data.outcomes.quality, data.outcomes.weight
    return np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight)


def _with_queries(
    data: TrainingSet, pairs: Preferences, features: Features
) -> tuple[TrainingSet, IntArray]:
    """The training set with rows for queries that only comparisons have; and each one's row."""
    position = {name: i for i, name in enumerate(data.query_id.tolist())}
    new = []
    for i, query in enumerate(pairs.query_id.tolist()):
        if query not in position:
            position[query] = len(position)
            new.append(i)
    row = np.array([position[q] for q in pairs.query_id.tolist()], dtype=np.int64)
    if not new:
        return data, row
    queries = tuple(pairs.queries[i] for i in new)
    empty = np.full((len(new), len(data.candidates)), np.nan)
    seen = data.outcomes
    grown = Outcomes(
        quality=np.vstack([seen.quality, empty]),
        input_tokens=np.vstack([seen.input_tokens, empty]),
        output_tokens=np.vstack([seen.output_tokens, empty]),
        latency_ms=np.vstack([seen.latency_ms, empty]),
        weight=np.vstack([_weights(data), np.zeros_like(empty)]),
    )
    return replace(
        data,
        queries=(*data.queries, *queries),
        batch=data.batch.followed_by(features(queries)),
        outcomes=grown,
        query_id=np.append(data.query_id, pairs.query_id[new]),
        group_id=np.append(data.group_id, pairs.group_id[new]),
        requests=np.append(data.requests, np.ones(len(new))),
        begun=None if data.begun is None else np.append(data.begun, np.zeros(len(new))),
    ), row


def _labelled(
    data: TrainingSet, pairs: Preferences, row: IntArray, middle: FloatArray
) -> TrainingSet:
    """Labels of both candidates of every comparison beside those of the log, as weighted means."""
    mass = _weights(data)
    total = mass * np.nan_to_num(data.outcomes.quality)
    for column, sign in ((pairs.a, 0.5), (pairs.b, -0.5)):
        np.add.at(total, (row, column), pairs.weight * (middle + sign * pairs.lead))
        np.add.at(mass, (row, column), pairs.weight)
    quality = np.divide(total, mass, out=np.full(mass.shape, np.nan), where=mass > 0)
    return replace(data, outcomes=replace(data.outcomes, quality=quality, weight=mass))
