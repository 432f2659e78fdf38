"""The shipped answer scorer: rows of an answer table to estimated quality."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.table import AnswerTable
from router_ml.errors import BundleError, ScorerUnavailableError
from router_ml.runtime.session import open_session
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

_BATCH: Final = 8192


class AnswerRuntime:
    """Scores answers with ``answer.onnx``; safe to call from several threads.

    Parameters
    ----------
    graph : the serialised model
    n_candidates : K, which fixes the columns together with the layout
    layout : readers and columns that the graph was trained on

    Raises
    ------
    BundleError
        If ONNX Runtime refuses the graph, or it reads another number of columns.
    """

    def __init__(self, *, graph: bytes, n_candidates: int, layout: AnswerLayout) -> None:
        self.layout = layout
        self._session = open_session(graph, "answer.onnx")
        columns = self._session.get_inputs()[0].shape[-1]
        if columns != layout.n_columns(n_candidates):
            raise BundleError(
                f"answer.onnx reads {columns} columns, the bundle lists "
                f"{layout.n_columns(n_candidates)} for {n_candidates} candidates: export it again"
            )

    def predict(
        self, table: AnswerTable, query: IntArray, candidate: IntArray, seen: BoolArray
    ) -> FloatArray:
        """Probability that answers are right, shape (m,); arguments as ``AnswerTable.rows``."""
        out = np.zeros(len(query))
        for begin in range(0, len(query), _BATCH):
            part = slice(begin, begin + _BATCH)
            rows = table.rows(query[part], candidate[part], seen[part])
            try:
                out[part] = self._session.run(["quality"], {"rows": rows})[0][:, 0]
            except Exception as error:  # ONNX Runtime raises many classes without a common base
                raise ScorerUnavailableError(f"the answer scorer failed: {error}") from error
        return out

    def posterior(self, table: AnswerTable) -> FloatArray:
        """Estimates of all known answers, each judged beside the others; (n, K), NaN elsewhere."""
        query, candidate = np.nonzero(table.known)
        out = np.full(table.known.shape, np.nan)
        if len(query):
            out[query, candidate] = self.predict(table, query, candidate, table.known[query])
        return out
