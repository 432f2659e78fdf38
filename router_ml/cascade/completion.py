"""A log's answers, completed: what a cascade can be searched on where few answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.scorer import AnswerScorer
from router_ml.errors import SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

_NEAREST: Final = 5
"""A donor is drawn from so many; one alone would repeat few answers, many would blur the match."""


@dataclass(frozen=True, slots=True)
class AnswerWorld:
    r"""n queries with an answer of every candidate: the known ones, and donors' where none is.

    A log shows few of a query's answers, most logs one. What candidate k would have said to query i
    is taken from a query j that k did answer and that is alike in two ways: the router's prior for
    k, and how far the *other* answers to the query came out above or below their priors (zero where
    no other is known), which keeps hard queries hard for all. This is predictive mean matching with
    donors drawn from the nearest few. Given these two, answers of different candidates count as
    independent; where a query has one answer, that is an assumption the log cannot test.

    Parameters
    ----------
    scorer : fitted on ``table``; every estimate is out of fold
    table : what is known
    quality : in [0, 1], shape (n, K), complete
    cost_usd : shape (n, K), complete
    donor : int array, shape (n, K), whose answer stands in each cell; i where it is query i's own
    """

    scorer: AnswerScorer
    table: AnswerTable
    quality: FloatArray
    cost_usd: FloatArray
    donor: IntArray

    @property
    def lent_share(self) -> float:
        """Share of the answers that are donors'."""
        return float((self.donor != np.arange(len(self.donor))[:, None]).mean())

    @classmethod
    def complete(
        cls,
        scorer: AnswerScorer,
        table: AnswerTable,
        *,
        quality: FloatArray,
        cost_usd: FloatArray,
        prior: FloatArray,
        random_state: int = 0,
    ) -> AnswerWorld:
        """Lend answers where there are none.

        Parameters
        ----------
        scorer : fitted on ``table``
        quality : labels, shape (n, K), NaN where unknown; a known answer without a label counts as
            what the scorer expects of it beside all others
        cost_usd : shape (n, K), finite
        prior : shape (n, K), out-of-fold predictions

        Raises
        ------
        SchemaError
            If shapes disagree.
        """
        known = table.known
        if not quality.shape == cost_usd.shape == prior.shape == known.shape:
            raise SchemaError(f"every array must have shape {known.shape}")
        query, candidate = np.nonzero(known)
        alone, beside = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
        none = np.zeros((len(query), known.shape[1]), dtype=bool)
        alone[query, candidate] = scorer.predict_out_of_fold(table, query, candidate, none)
        beside[query, candidate] = scorer.predict_out_of_fold(table, query, candidate, known[query])
        worth = np.where(np.isfinite(quality), quality, beside)
        donor = _donors(known, prior, alone - prior, np.random.default_rng(random_state))
        columns = np.arange(known.shape[1])
        return cls(scorer, table, worth[donor, columns], np.asarray(cost_usd, float), donor)

    def score(self, rows: IntArray, asked: BoolArray) -> FloatArray:
        """As :data:`router_ml.cascade.policies.sequential.Score`; lent answers are judged alone."""
        out = np.full(asked.shape, np.nan)
        i, k = np.nonzero(asked)
        row = rows[i]
        giver = self.donor[row, k]
        own = giver == row
        seen = asked[i] & self.table.known[row] & own[:, None]
        out[i, k] = self.scorer.predict_out_of_fold(self.table, giver, k, seen)
        return out


def _donors(
    known: BoolArray, prior: FloatArray, surprise: FloatArray, rng: np.random.Generator
) -> IntArray:
    """Row that gives each cell's answer, shape (n, K)."""
    n, k = known.shape
    donor = np.tile(np.arange(n)[:, None], (1, k))
    total = np.where(known, surprise, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    for j in range(k):
        giving, lacking = np.flatnonzero(known[:, j]), np.flatnonzero(~known[:, j])
        if not len(giving):
            raise SchemaError(f"no answer of candidate {j} is known; leave it out of the join")
        rest = total - np.where(known[:, j], surprise[:, j], 0.0)
        others = np.divide(
            rest, count - known[:, j], out=np.zeros(n), where=count - known[:, j] > 0
        )
        place = np.column_stack([prior[:, j], others])
        place /= np.maximum(place.std(axis=0), 1e-9)
        near = min(_NEAREST, len(giving))
        nearest = cKDTree(place[giving]).query(place[lacking], k=np.arange(1, near + 1))[1]
        drawn = rng.integers(near, size=len(lacking))
        donor[lacking, j] = giving[nearest[np.arange(len(lacking)), drawn]]
    return donor
