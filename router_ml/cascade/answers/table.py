"""Answers of several candidates to several queries, and the rows that the answer scorer reads.

The same class holds a training set (n queries by K candidates) and one request (one query, the
answers so far), so that a feature is computed by one piece of code offline and online.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.cascade.answers.agreement import agreement_columns
from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.reading import CALLS, Statement, similarity
from router_ml.errors import SchemaError
from router_ml.features.lexical import NAMES, lexical_features
from router_ml.features.query import Query
from router_ml.types.answers import Answer
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

UNSEEN: Final = -1.0
"""Similarity to a candidate whose answer was not seen."""


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """What is known of the answers of K candidates to n queries.

    Parameters
    ----------
    lexical : float32 array, shape (n, n_lexical), of the query
    own : float32 array, shape (n, K, n_own), what readers see; zero where there is no answer
    known : bool array, shape (n, K), where there is an answer
    alike : float32 array, shape (n, K, K), agreement in [0, 1]
    same_functions : bool array, shape (n, K, K), whether the same tools are called
    calls : bool array, shape (n, K), whether the answer calls a tool
    layout : readers and columns
    """

    lexical: FloatArray
    own: FloatArray
    known: BoolArray
    alike: FloatArray
    same_functions: BoolArray
    calls: BoolArray
    layout: AnswerLayout

    def __len__(self) -> int:
        return len(self.known)

    @property
    def n_candidates(self) -> int:
        """K."""
        return int(self.known.shape[1])

    @classmethod
    def of(
        cls,
        queries: Sequence[Query],
        answers: Sequence[Sequence[Answer | str | None]],
        *,
        finish_reasons: Sequence[Sequence[str]] | None = None,
        lexical: FloatArray | None = None,
        layout: AnswerLayout | None = None,
    ) -> AnswerTable:
        """Read answers.

        Parameters
        ----------
        queries : n queries
        answers : n rows of K, ``None`` where a candidate gave no answer; a text is read as a log
            keeps answers, see :meth:`router_ml.types.answers.Answer.from_stored`
        finish_reasons : n rows of K, of answers that are texts; optional
        lexical : the queries' lexical features where they are known already, shape (n, n_lexical)
        layout : readers and columns; default: all of this release

        Raises
        ------
        SchemaError
            If the rows are not equally long, or there are none.

        Examples
        --------
        >>> table = AnswerTable.of([Query("2 + 3?")], [["It is 5.", "5", None]])
        >>> table.known.tolist(), table.alike[0, 0].tolist()
        ([[True, True, False]], [1.0, 1.0, 0.0])
        """
        n, k = len(queries), len(answers[0]) if answers else 0
        if len(answers) != n or k == 0 or any(len(row) != k for row in answers):
            raise SchemaError(
                f"answers must be {n} rows of one length > 0, got {len(answers)} rows"
            )
        layout = AnswerLayout() if layout is None else layout
        table = cls.empty(n, k, layout)
        for i, (query, row) in enumerate(zip(queries, answers, strict=True)):
            table.lexical[i] = lexical_features(query) if lexical is None else lexical[i]
            reasons = finish_reasons[i] if finish_reasons is not None else ("",) * k
            asked = Asked(query)
            said: dict[int, Statement] = {}
            for j, answer in enumerate(row):
                if answer is not None:
                    if isinstance(answer, str):
                        answer = Answer.from_stored(answer, finish_reason=reasons[j])
                    table.own[i, j], said[j] = layout.read(asked, answer)
            table._compare(i, said)
        return table

    @classmethod
    def empty(cls, n: int, n_candidates: int, layout: AnswerLayout) -> AnswerTable:
        """A table without answers."""
        k = n_candidates
        return cls(
            lexical=np.zeros((n, len(NAMES)), np.float32),
            own=np.zeros((n, k, len(layout.own)), np.float32),
            known=np.zeros((n, k), bool),
            alike=np.zeros((n, k, k), np.float32),
            same_functions=np.zeros((n, k, k), bool),
            calls=np.zeros((n, k), bool),
            layout=layout,
        )

    def _compare(self, i: int, said: dict[int, Statement]) -> None:
        for j, a in said.items():
            self.known[i, j] = True
            self.calls[i, j] = a.kind == CALLS
            for m, b in said.items():
                if m <= j:
                    self.alike[i, j, m] = self.alike[i, m, j] = similarity(a, b)
                    same = a.kind == b.kind and a.functions == b.functions
                    self.same_functions[i, j, m] = self.same_functions[i, m, j] = same

    def take(self, index: IntArray) -> AnswerTable:
        """Queries by position."""
        return AnswerTable(
            self.lexical[index],
            self.own[index],
            self.known[index],
            self.alike[index],
            self.same_functions[index],
            self.calls[index],
            self.layout,
        )

    def rows(self, query: IntArray, candidate: IntArray, seen: BoolArray) -> FloatArray:
        """Scorer's input for answers, given which others were seen.

        Parameters
        ----------
        query, candidate : int arrays, shape (m,), which answer
        seen : bool array, shape (m, K), the other answers known at that time

        Returns
        -------
        float32 array, shape (m, layout.n_columns(K))
            Own columns, the query's lexical columns, agreement, similarity to each candidate's
            answer, and which candidate this is.
        """
        seen = seen & self.known[query]
        seen[np.arange(len(query)), candidate] = False
        alike = self.alike[query, candidate]
        lexical, columns = self.lexical[query], self.layout.lexical_positions
        return np.concatenate(
            [
                self.own[query, candidate],
                lexical if columns is None else lexical[:, columns],
                agreement_columns(
                    alike=alike,
                    alike_all=self.alike[query],
                    same_functions=self.same_functions[query, candidate],
                    calls=self.calls[query],
                    seen=seen,
                )[:, self.layout.agreement_positions],
                np.where(seen, alike, np.float32(UNSEEN)),
                np.eye(self.n_candidates, dtype=np.float32)[candidate],
            ],
            axis=1,
        ).astype(np.float32, copy=False)
