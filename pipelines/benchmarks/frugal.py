"""FrugalGPT's recipe, as a baseline: one scorer per candidate, everything fitted on one split.

Chen, Zaharia and Zou (2023) fine-tune a DistilBERT per candidate on query and answer, and pick
order and thresholds by brute force on the data the scorers were fitted on. Here the scorer is a
logistic regression on the shipped encoder's embeddings of query and answer and their product; the
rest is the recipe. The accepted answer is the last one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from router_ml.types.arrays import FloatArray

DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class FrugalCascade:
    """Order, thresholds, and what they reached on the training split."""

    order: tuple[int, ...]
    thresholds: tuple[float, ...]
    quality: float
    cost_usd: float


class FrugalScorers:
    """One logistic regression per candidate on (query, answer, product) embeddings."""

    def fit(self, query: FloatArray, answer: FloatArray, quality: FloatArray) -> FrugalScorers:
        """Fit on shapes (n, d), (n, K, d) and (n, K)."""
        self.models_ = [
            LogisticRegression(C=10.0, max_iter=300).fit(
                _inputs(query, answer[:, k]), quality[:, k] > 0.5
            )
            for k in range(quality.shape[1])
        ]
        return self

    def predict(self, query: FloatArray, answer: FloatArray) -> FloatArray:
        """Scores, shape (n, K)."""
        columns = [
            model.predict_proba(_inputs(query, answer[:, k]))[:, 1]
            for k, model in enumerate(self.models_)
        ]
        return np.stack(columns, axis=1)


def search(
    scores: FloatArray, quality: FloatArray, cost_usd: FloatArray, *, n_quantiles: int = 8
) -> list[FrugalCascade]:
    """Brute force over orders and quantile thresholds; the undominated, cheapest first."""
    found: list[FrugalCascade] = []
    k = scores.shape[1]
    levels = np.linspace(0.0, 1.0, n_quantiles + 1)[:-1]
    edges = np.quantile(scores, levels, axis=0)
    for order in itertools.permutations(range(k), min(DEPTH, k)):
        for pair in itertools.product(range(n_quantiles), repeat=len(order) - 1):
            limits = tuple(float(edges[i, c]) for i, c in zip(pair, order[:-1], strict=True))
            q, c = play(order, limits, scores, quality, cost_usd)
            found.append(FrugalCascade(order, limits, float(q.mean()), float(c.mean())))
    found.sort(key=lambda cascade: (cascade.cost_usd, -cascade.quality))
    best, front = -1.0, []
    for cascade in found:
        if cascade.quality > best:
            best = cascade.quality
            front.append(cascade)
    return front


def play(
    order: tuple[int, ...],
    thresholds: tuple[float, ...],
    scores: FloatArray,
    quality: FloatArray,
    cost_usd: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Quality of the accepted answer and dollars of all asked, shape (n,)."""
    out, spent = quality[:, order[-1]].copy(), cost_usd[:, order[0]].copy()
    on = np.ones(len(scores), dtype=bool)
    for d, limit in enumerate(thresholds):
        stop = on & (scores[:, order[d]] >= limit)
        out[stop] = quality[stop, order[d]]
        on &= ~stop
        spent[on] += cost_usd[on, order[d + 1]]
    return out, spent


def _inputs(query: FloatArray, answer: FloatArray) -> FloatArray:
    scale = np.sqrt(query.shape[1])
    return np.concatenate([query, answer, query * answer * scale], axis=1)
