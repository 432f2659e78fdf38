"""Answers of several candidates to several queries, and the rows that the answer scorer reads.

The same class holds a training set (n queries by K candidates) and one request (one query, the
answers so far), so that a feature is computed by one piece of code offline and online.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.cascade.answers.columns import OWN_NAMES, AnswerFacts, QueryFacts, similarity
from router_ml.errors import SchemaError
from router_ml.features.lexical import NAMES, lexical_features
from router_ml.features.query import Query
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

AGREEMENT_NAMES: Final = (
    "n_seen",
    "agree_share",
    "agree_best",
    "agree_mean",
    "same_functions_share",
    "largest_cluster_share",
    "in_largest_cluster",
    "pairs_agree_share",
    "no_calls_share",
)
"""Columns that compare an answer with those seen so far; all zero where there is none."""
UNSEEN: Final = -1.0
"""Similarity to a candidate whose answer was not seen."""


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """What is known of the answers of K candidates to n queries.

    Parameters
    ----------
    lexical : float32 array, shape (n, n_lexical), of the query
    own : float32 array, shape (n, K, len(OWN_NAMES)); zero where there is no answer
    known : bool array, shape (n, K), where there is an answer
    alike : float32 array, shape (n, K, K), agreement in [0, 1]
    same_functions : bool array, shape (n, K, K), whether the same tools are called
    calls : bool array, shape (n, K), whether the answer calls a tool
    """

    lexical: FloatArray
    own: FloatArray
    known: BoolArray
    alike: FloatArray
    same_functions: BoolArray
    calls: BoolArray

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
        answers: Sequence[Sequence[str | None]],
        *,
        finish_reasons: Sequence[Sequence[str]] | None = None,
        lexical: FloatArray | None = None,
    ) -> AnswerTable:
        """Read answers.

        Parameters
        ----------
        queries : n queries
        answers : n rows of K texts, ``None`` where a candidate gave no answer
        finish_reasons : n rows of K, optional
        lexical : the queries' lexical features where they are known already, shape (n, n_lexical)

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
        table = cls.empty(n, k)
        for i, (query, row) in enumerate(zip(queries, answers, strict=True)):
            table.lexical[i] = lexical_features(query) if lexical is None else lexical[i]
            facts = QueryFacts.of(query)
            reasons = finish_reasons[i] if finish_reasons is not None else ("",) * k
            read = {
                j: AnswerFacts.of(facts, text, finish_reason=reasons[j])
                for j, text in enumerate(row)
                if text is not None
            }
            table._put(i, read)
        return table

    @classmethod
    def empty(cls, n: int, n_candidates: int) -> AnswerTable:
        """A table without answers."""
        k = n_candidates
        return cls(
            lexical=np.zeros((n, len(NAMES)), np.float32),
            own=np.zeros((n, k, len(OWN_NAMES)), np.float32),
            known=np.zeros((n, k), bool),
            alike=np.zeros((n, k, k), np.float32),
            same_functions=np.zeros((n, k, k), bool),
            calls=np.zeros((n, k), bool),
        )

    def _put(self, i: int, read: dict[int, AnswerFacts]) -> None:
        for j, a in read.items():
            self.own[i, j] = a.own
            self.known[i, j] = True
            self.calls[i, j] = a.kind == "calls"
            for m, b in read.items():
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
        )

    def rows(self, query: IntArray, candidate: IntArray, seen: BoolArray) -> FloatArray:
        """Scorer's input for answers, given which others were seen.

        Parameters
        ----------
        query, candidate : int arrays, shape (m,), which answer
        seen : bool array, shape (m, K), the other answers known at that time

        Returns
        -------
        float32 array, shape (m, n_columns(K))
            Own columns, the query's lexical columns, agreement, similarity to each candidate's
            answer, and which candidate this is.
        """
        seen = seen & self.known[query]
        seen[np.arange(len(query)), candidate] = False
        alike = self.alike[query, candidate]
        return np.concatenate(
            [
                self.own[query, candidate],
                self.lexical[query],
                self._agreement(query, candidate, seen, alike),
                np.where(seen, alike, np.float32(UNSEEN)),
                np.eye(self.n_candidates, dtype=np.float32)[candidate],
            ],
            axis=1,
        ).astype(np.float32, copy=False)

    def _agreement(
        self, query: IntArray, candidate: IntArray, seen: BoolArray, alike: FloatArray
    ) -> FloatArray:
        if not seen.any():
            return np.zeros((len(query), len(AGREEMENT_NAMES)), np.float32)
        count = seen.sum(axis=1)
        n = np.maximum(count, 1)
        equal = (alike == 1.0) & seen
        # cluster[i, j]: how many of the seen answers say what the seen answer j says.
        both = seen[:, :, None] & seen[:, None, :]
        cluster = ((self.alike[query] == 1.0) & both).sum(axis=2)
        largest = cluster.max(axis=1)
        columns = (
            count,
            equal.sum(axis=1) / n,
            np.where(seen, alike, 0.0).max(axis=1),
            np.where(seen, alike, 0.0).sum(axis=1) / n,
            (self.same_functions[query, candidate] & seen).sum(axis=1) / n,
            largest / n,
            (equal.sum(axis=1) >= largest) & (count > 0),
            (cluster.sum(axis=1) - count) / np.maximum(count * (count - 1), 1),
            (~self.calls[query] & seen).sum(axis=1) / n,
        )
        return np.stack(columns, axis=1).astype(np.float32)


def n_columns(n_candidates: int) -> int:
    """Columns of :meth:`AnswerTable.rows`."""
    return len(OWN_NAMES) + len(NAMES) + len(AGREEMENT_NAMES) + 2 * n_candidates
