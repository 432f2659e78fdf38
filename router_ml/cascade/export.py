"""The answer scorer to ``answer.onnx``, and the proof that both agree."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.runtime.scorer import AnswerRuntime
from router_ml.cascade.scorer import AnswerScorer
from router_ml.errors import ParityError
from router_ml.export.graph import GraphBuilder
from router_ml.export.heads.lightgbm import tree_attributes
from router_ml.types.arrays import BoolArray, IntArray

TOLERANCE: Final = 1e-4


def export_answer(scorer: AnswerScorer) -> bytes:
    """Write a fitted scorer as a graph: ``rows`` (batch, columns) to ``quality`` (batch, 1).

    The rows are those of :meth:`router_ml.cascade.answers.table.AnswerTable.rows`.
    """
    graph = GraphBuilder()
    rows = graph.input(
        "rows", np.float32, ("batch", scorer.layout_.n_columns(scorer.n_candidates_))
    )
    margin = graph.op(
        "TreeEnsembleRegressor", rows, domain="ai.onnx.ml", **tree_attributes(scorer.booster_)
    )
    logit = graph.op(
        "Add",
        graph.op("Mul", margin, graph.constant(np.float32(scorer.slope_))),
        graph.constant(np.float32(scorer.intercept_)),
    )
    graph.output(graph.op("Sigmoid", logit), "quality", ("batch", 1))
    model: bytes = graph.build().SerializeToString()
    return model


def check_answer_parity(
    scorer: AnswerScorer,
    graph: bytes,
    table: AnswerTable,
    query: IntArray,
    candidate: IntArray,
    seen: BoolArray,
) -> float:
    """Largest difference between scorer and graph; arguments as ``AnswerTable.rows``.

    Raises
    ------
    ParityError
        If it is above 1e-4.
    """
    python = scorer.predict(table, query, candidate, seen)
    shipped = AnswerRuntime(graph=graph, n_candidates=scorer.n_candidates_, layout=scorer.layout_)
    error = float(np.abs(shipped.predict(table, query, candidate, seen) - python).max(initial=0.0))
    if not error <= TOLERANCE:
        raise ParityError(
            f"the answer scorer and its graph must agree within {TOLERANCE}, got {error:.3g} over "
            f"{len(query)} answers"
        )
    return error
