"""From labelled utterances to a classifier with a threshold a route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_ml.data.groups import group_folds
from router_ml.errors import DataError
from router_ml.evaluation.calibration import ece
from router_ml.features.encoder import Encoder
from router_ml.features.query import Query, group_id
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import Tokens

NEVER: Final = 2.0
"""Threshold of a route that does not reach the wanted precision: no probability is above one."""
_STRENGTHS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Inverse penalties that are tried; embeddings are of unit length."""
_FOLDS: Final = 5
_FEWEST: Final = 10
"""Distinct utterances of every route, and of none: two a fold."""
_TEMPERATURES: Final = np.geomspace(0.25, 4.0, 33)


@dataclass(frozen=True, slots=True)
class FittedRoutes:
    """A linear softmax over "none" and R routes.

    Parameters
    ----------
    names : of the routes, R of them
    weights : float array, shape (dims, 1 + R); the first column is "none"
    bias : float array, shape (1 + R,)
    thresholds : float array, shape (R,): a route is taken from this probability on
    report : what was found on held-out utterances
    """

    names: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray
    thresholds: FloatArray
    report: dict[str, Any]


def fit_routes(
    texts: Sequence[str],
    routes: Sequence[str | None],
    encoder: Encoder,
    *,
    precision: float = 0.9,
    random_state: int = 0,
) -> FittedRoutes:
    r"""Fit a penalised multinomial logistic regression on embeddings, and its thresholds.

    "None of them" is a class of its own, learned from utterances that belong to no route: the
    nearest route of a strange request is still near something, so similarity alone cannot tell.
    Penalty, temperature and thresholds are chosen on held-out utterances, by five folds that keep
    equal texts together. The threshold of a route is the lowest probability from which on

    .. math:: \frac{1 + \#\{\text{right}\}}{2 + \#\{\text{taken}\}} \ge \text{precision}

    (Laplace's rule of succession, which keeps a few lucky utterances from counting as proof).

    Parameters
    ----------
    texts : utterances, n of them
    routes : the route of each; ``None`` = out of scope
    encoder : its embeddings are what is classified
    precision : share of the requests on a route that shall belong there, in (0, 1)
    random_state : seeds the folds

    Raises
    ------
    DataError
        If there are fewer than ten distinct utterances of a route or out of scope, or one text has
        two routes.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from threadpoolctl import threadpool_limits

    texts, routes = _distinct(texts, routes)
    names = tuple(sorted({route for route in routes if route is not None}))
    place = {name: 1 + i for i, name in enumerate(names)}
    code = np.array([0 if route is None else place[route] for route in routes])
    _check(names, code)
    if not 0.0 < precision < 1.0:
        raise DataError(f"precision must be above 0 and below 1, got {precision}")
    embedding = encoder.encode(Tokens.from_rows(encoder.tokenizer.rows([*map(Query, texts)])))
    folds = _folds(code, texts, random_state)
    # These products are too small to share: with several threads they mostly wait for each other.
    with threadpool_limits(1, user_api="blas"):
        strength, logits = _held_out(embedding, code, folds)
        model = _classifier(strength).fit(embedding, code)
    temperature = min(_TEMPERATURES, key=lambda t: _log_loss(logits / t, code))
    probability = _softmax(logits / temperature)
    thresholds = np.array(
        [_threshold(probability, code, k, precision) for k in range(1, 1 + len(names))]
    )
    weights, bias = _columns(model, 1 + len(names))
    return FittedRoutes(
        names=names,
        weights=(weights / temperature).astype(np.float32),
        bias=(bias / temperature).astype(np.float32),
        thresholds=thresholds,
        report=_report(names, probability, code, thresholds, strength, precision),
    )


def taken(probability: FloatArray, thresholds: FloatArray) -> IntArray:
    """Position of the route that each row takes, shape (n,); -1 = none.

    Parameters
    ----------
    probability : shape (n, 1 + R), the first column "none"
    thresholds : shape (R,)
    """
    best = probability[:, 1:].argmax(axis=1)
    reached = probability[np.arange(len(best)), 1 + best] >= thresholds[best]
    return np.where(reached, best, -1)


def _distinct(
    texts: Sequence[str], routes: Sequence[str | None]
) -> tuple[list[str], list[str | None]]:
    """Every text once; equal ones would be learned from and judged by at the same time."""
    found: dict[str, tuple[str, str | None]] = {}
    for text, route in zip(texts, routes, strict=True):
        key = group_id(Query(text))
        if not text.strip():
            raise DataError("expected utterances with text, got an empty one")
        if key in found and found[key][1] != route:
            raise DataError(f"one utterance has two routes, {found[key][1]!r} and {route!r}")
        found.setdefault(key, (text, route))
    return [text for text, _ in found.values()], [route for _, route in found.values()]


def _check(names: Sequence[str], code: IntArray) -> None:
    count = np.bincount(code, minlength=1 + len(names))
    few = [
        f"{name}: {n}"
        for name, n in zip(("out of scope", *names), count.tolist(), strict=True)
        if n < _FEWEST
    ]
    if few or not names:
        raise DataError(
            f"expected a route, and at least {_FEWEST} distinct utterances of every route and out "
            f"of scope, got {', '.join(few) or 'no route'}; utterances without a route teach what "
            "belongs to none: a sample of the request log will do"
        )


def _folds(code: IntArray, texts: Sequence[str], random_state: int) -> IntArray:
    """Fold of every row; every class is in each."""
    folds = np.zeros(len(code), dtype=np.int64)
    for k in np.unique(code):
        rows = np.flatnonzero(code == k)
        folds[rows] = group_folds(rows, n_folds=_FOLDS, random_state=random_state)
    return folds


def _held_out(embedding: FloatArray, code: IntArray, folds: IntArray) -> tuple[float, FloatArray]:
    """The penalty of least held-out log loss, and the held-out logits under it."""
    tried = []
    for strength in _STRENGTHS:
        logits = np.zeros((len(code), int(code.max()) + 1))
        for fold in range(_FOLDS):
            test = folds == fold
            model = _classifier(strength).fit(embedding[~test], code[~test])
            weights, bias = _columns(model, logits.shape[1])
            logits[test] = embedding[test] @ weights + bias
        tried.append((_log_loss(logits, code), strength, logits))
    _, strength, logits = min(tried, key=lambda item: item[0])
    return strength, logits


def _classifier(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2_000)


def _columns(model: Any, n_classes: int) -> tuple[FloatArray, FloatArray]:
    """Weights (dims, n_classes) and bias; with two classes scikit-learn fits one difference."""
    weights, bias = model.coef_.T, model.intercept_
    if n_classes == 2:
        weights = np.column_stack([-weights[:, 0], weights[:, 0]]) / 2.0
        bias = np.array([-bias[0], bias[0]]) / 2.0
    return weights, bias


def _softmax(logits: FloatArray) -> FloatArray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return out


def _log_loss(logits: FloatArray, code: IntArray) -> float:
    own = _softmax(logits)[np.arange(len(code)), code]
    return float(-np.log(np.maximum(own, 1e-300)).mean())


def _threshold(probability: FloatArray, code: IntArray, k: int, precision: float) -> float:
    """The lowest probability of route ``k`` from which on it is as precise as wanted."""
    best = 1 + probability[:, 1:].argmax(axis=1) == k
    p, right = probability[best, k], code[best] == k
    order = np.argsort(-p, kind="stable")
    p, right = p[order], right[order]
    share = (1.0 + np.cumsum(right)) / (2.0 + np.arange(1, len(p) + 1))
    # Equal probabilities are taken together or not at all.
    whole = np.append(p[1:] < p[:-1], True) if len(p) else np.zeros(0, dtype=bool)
    good = np.flatnonzero((share >= precision) & whole)
    return float(p[good[-1]]) if len(good) else NEVER


def _report(
    names: Sequence[str],
    probability: FloatArray,
    code: IntArray,
    thresholds: FloatArray,
    strength: float,
    precision: float,
) -> dict[str, Any]:
    chosen = taken(probability, thresholds) + 1
    best = probability.argmax(axis=1)
    rows = {}
    for k, name in enumerate(names, start=1):
        on, there = chosen == k, code == k
        rows[name] = {
            "utterances": int(there.sum()),
            "threshold": float(thresholds[k - 1]),
            "in_use": bool(thresholds[k - 1] < NEVER),
            "precision": float((code[on] == k).mean()) if on.any() else None,
            "recall": float((chosen[there] == k).mean()),
        }
    return {
        "utterances": len(code),
        "wanted_precision": precision,
        "inverse_penalty": strength,
        "accuracy": float((chosen == code).mean()),
        "out_of_scope_left_alone": float((chosen[code == 0] == 0).mean()),
        "ece": ece(probability.max(axis=1), (best == code).astype(float)),
        "routes": rows,
    }
