"""The proof that the bundle and the Python estimators agree, before anyone is exposed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.errors import ParityError
from router_ml.estimators.router import RouterEstimator
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.features.static_encoder import StaticEncoder
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import PARTS, Predictions

TOLERANCE: Final = 1e-4
MIN_EQUAL_DECISIONS: Final = 0.999
MAX_MOVED: Final = 0.005
"""Share of queries that may leave the tolerance where the encoder is not exact."""
MAX_MOVE: Final = 0.05
"""How far they may."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """How far graph and Python are apart.

    Parameters
    ----------
    n : queries compared
    max_error : largest difference by part: absolute for quality, relative (to max(1, value)) for
        counts; of the queries that did not move
    equal_decisions : share of queries on which the bundle's policy chooses the same candidate, or
        one whose score in Python is within the tolerance of the best: a budget's cost weight is the
        one at which some query is indifferent, so rounding may decide it
    batch_error : largest difference between a batch of one and a batch of many; of the queries that
        did not move
    moved : share of queries, in either comparison, that fell on the other side of a tree's
        threshold: a sentence encoder's last bits change with padding. 0 with a static encoder,
        whose floats are exact
    """

    n: int
    max_error: dict[str, float]
    equal_decisions: float
    batch_error: float
    moved: float = 0.0


def check_parity(
    estimator: RouterEstimator,
    featurizer: Featurizer,
    runtime: Runtime,
    queries: Sequence[Query],
    *,
    n_single: int = 100,
) -> ParityReport:
    """Compare a bundle with the estimators it was made from.

    Parameters
    ----------
    estimator : fitted
    featurizer : with the shipped encoder
    runtime : of the bundle
    queries : a mixed lot; add :func:`odd_queries`
    n_single : how many are also scored one by one

    Raises
    ------
    ParityError
        If a prediction differs by more than 1e-4, or more than 0.1 % of decisions differ. With a
        sentence encoder one query of 200 may differ by up to 0.05.
    """
    table = runtime.candidates
    python = estimator.predict(featurizer.transform(queries), table)
    graph = runtime.predict(queries)
    singles = np.linspace(0, len(queries) - 1, min(n_single, len(queries))).astype(int)
    ones = [runtime.predict_one(queries[i]) for i in singles]
    apart = _errors(python, graph)
    batch = np.array(
        [
            np.max(list(_errors(one, graph.take(np.array([i]))).values()))
            for i, one in zip(singles, ones, strict=True)
        ]
    )
    largest = np.max(list(apart.values()), axis=0)
    may_move = 0.0 if featurizer.encoder.kind == StaticEncoder.kind else MAX_MOVED
    moves = np.concatenate([largest, batch])
    moved = (moves > TOLERANCE) & (moves <= MAX_MOVE)
    if moved.sum() > np.ceil(may_move * len(moves)):
        moved[:] = False
    stayed, stayed_batch = ~moved[: len(largest)], ~moved[len(largest) :]
    errors = {part: float(np.max(e[stayed], initial=0.0)) for part, e in apart.items()}
    batch_error = float(np.max(batch[stayed_batch], initial=0.0))
    equal = float(np.mean(_as_good(runtime, python, _best(runtime, graph))))
    report = ParityReport(len(queries), errors, equal, batch_error, float(moved.mean()))
    worst = max(*errors.values(), batch_error)
    if not worst <= TOLERANCE or equal < MIN_EQUAL_DECISIONS:
        raise ParityError(
            f"graph and Python must agree within {TOLERANCE} and on {MIN_EQUAL_DECISIONS:.1%} of "
            f"decisions; got {errors}, batch of one against many {batch_error:.2g}, "
            f"{equal:.2%} of {len(queries)} decisions equal: is the encoder the shipped one?"
        )
    return report


def odd_queries() -> list[Query]:
    """Queries at the edges: empty, huge, non-English, code, control signs, many tools."""
    tool = {
        "name": "f",
        "description": "d" * 500,
        "parameters": {"properties": {"x": {"type": "integer", "enum": [1, 2]}}, "required": ["x"]},
    }
    texts = [
        "",
        " ",
        "a",
        "?" * 300,
        "word " * 20_000,
        "x" * 100_000,
        "Wie spät ist es in München?",
        "今天的天气怎么样?请给我一个详细的回答。",
        "ما هي عاصمة فرنسا؟",
        "👩‍💻 🚀 \u200d\u0000\ufffd",
        "def f(x):\n    return x ** 2\n",
        "∑_{i=1}^{n} i = n(n+1)/2 ∎",
        "1234567890 " * 50,
    ]
    odd = [Query(text, history_chars=len(text)) for text in texts]
    odd.append(Query("Many tools", tools=(tool,) * 200, history_chars=10))
    odd.append(Query("Long past", prior="before " * 3000, history_chars=10_000_000, n_turns=900))
    return odd


def _errors(a: Predictions, b: Predictions) -> dict[str, FloatArray]:
    """Largest difference of every query, shape (n,), by part."""
    found = {}
    for part in PARTS:
        ours, theirs = getattr(a, part), getattr(b, part)
        scale = 1.0 if part == "quality" else np.maximum(1.0, np.abs(ours))
        found[part] = np.max(np.abs(ours - theirs) / scale, axis=1, initial=0.0)
    return found


def _as_good(runtime: Runtime, python: Predictions, chosen: IntArray) -> BoolArray:
    """Whether each choice is as good in Python as the best, shape (n,)."""
    table = runtime.candidates
    cost_usd = table.cost_usd(python.input_tokens, python.output_tokens)
    scores = runtime.policy.scores(python, table, cost_usd)
    rows, best = np.arange(len(chosen)), _best(runtime, python)
    near = scores[rows, chosen] >= scores[rows, best] - TOLERANCE
    return np.asarray((chosen == best) | near)


def _best(runtime: Runtime, predictions: Predictions) -> IntArray:
    return runtime.policy.ranking(predictions, runtime.candidates)[:, 0]
