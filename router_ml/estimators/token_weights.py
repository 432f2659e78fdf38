"""A weight for every token and pair of tokens, as TF-IDF with ridge has for every word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.features.terms import N_TERMS, distinct_terms
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch, Tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    _Chunk = tuple[csr_matrix, Any, FloatArray, FloatArray]

MIN_SQUARE: Final = np.float32(1e-12)
"""Squared norm that a query of unseen tokens is given."""


class TokenWeightsEstimator(QualityEstimator):
    r"""Ridge regression on which tokens and adjacent pairs occur, weighted by idf.

    .. math::
        \hat d_{ik} = b_k + \frac{\sum_{g \in G_i} f_g v_{gk}}{\sqrt{\sum_{g \in G_i} f_g^2}}

    over the distinct terms g of query i (:func:`router_ml.features.terms.distinct_terms`), with
    :math:`f_g` the inverse document frequency in training, zero for what was never seen. As a graph
    it is a gather and a sum, for all candidates at once: words say what embeddings smooth away.

    Parameters
    ----------
    shared_penalty, contrast_penalty : float, default=8.0 and 16.0
        Ridge penalties of the weights of common part and contrasts, in rows.
    pad_id : int, default=0
        Id that is no word: padding, and the separator of a static encoder.
    max_iterations : int, default=60
        Of conjugate gradients.
    tolerance : float, default=0.001
        Relative residual at which they stop.
    """

    name: ClassVar[str] = "token_weights"
    fitted: ClassVar[tuple[str, ...]] = ("table_", "offset_")

    def __init__(
        self,
        *,
        shared_penalty: float = 8.0,
        contrast_penalty: float = 16.0,
        pad_id: int = 0,
        max_iterations: int = 60,
        tolerance: float = 0.001,
    ) -> None:
        self.shared_penalty = shared_penalty
        self.contrast_penalty = contrast_penalty
        self.pad_id = pad_id
        self.max_iterations = max_iterations
        self.tolerance = tolerance

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        if not queries.on_disk:
            self._fit(queries, effects, [self._present(queries.tokens)])
            return
        with TemporaryDirectory(prefix="terms-") as folder:
            self._fit(queries, effects, _OnDisk(Path(folder), map(self._present, _parts(queries))))

    def _fit(self, queries: QueryBatch, effects: Effects, present: Collection[csr_matrix]) -> None:
        seen = sum(np.bincount(part.indices, minlength=N_TERMS) for part in present)
        idf = np.log((1.0 + len(queries)) / (1.0 + seen)) + 1.0
        idf = np.where(seen > 0, idf, 0.0)
        m = effects.target.shape[1]
        coef, intercept = np.zeros((N_TERMS, m)), np.zeros(m)
        for js in [[0], *effects.alike()]:
            w = effects.weight[:, js[0]]
            if w.sum() <= 0:
                continue
            penalty = self.shared_penalty if js == [0] else self.contrast_penalty
            rows: Iterable[_Chunk] = _Rows(present, idf, w, effects.target[:, js])
            if not queries.on_disk:
                rows = [(X, back.tocsr(), w, T) for X, back, w, T in rows]
            coef[:, js], intercept[js] = self._ridge(rows, penalty)
        # A term's K weights times its idf, then its squared idf: one sum over occurrences gives
        # value and squared norm. Single precision, in the order of terms, as in the graph.
        weights = (coef[:, :1] + coef[:, 1:]) * idf[:, None]
        self.table_ = np.column_stack([weights, idf**2]).astype(np.float32)
        self.offset_ = (effects.level + intercept[0] + intercept[1:]).astype(np.float32)

    def raw_quality(self, queries: QueryBatch) -> FloatArray:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.raw_quality`."""
        total = self._present(queries.tokens).astype(np.float32) @ self.table_
        norm = np.sqrt(np.maximum(total[:, -1:], MIN_SQUARE))
        quality: FloatArray = total[:, :-1] / norm + self.offset_
        return quality

    def _effects(self, queries: QueryBatch) -> FloatArray:
        left = self.raw_quality(queries) - self.level_
        return np.column_stack([np.zeros(len(left)), left])

    def _present(self, tokens: Tokens) -> csr_matrix:
        """One where a term occurs, shape (n, n_terms)."""
        from scipy.sparse import csr_matrix

        terms, rows = distinct_terms(tokens, tokens.rows, self.pad_id)
        return csr_matrix((np.ones(len(terms)), (rows, terms)), shape=(len(tokens), N_TERMS))

    def _ridge(self, rows: Iterable[_Chunk], penalty: float) -> tuple[FloatArray, FloatArray]:
        """Solve ``(X' W X + penalty I) v = X' W t`` for centred X, all columns at once."""
        mass = sum(float(w.sum()) for _, _, w, _ in rows)
        center: FloatArray = np.asarray(sum(back @ w for _, back, w, _ in rows)) / mass
        target: FloatArray = np.asarray(sum(w @ T for _, _, w, T in rows)) / mass

        def gathered(left: Callable[[csr_matrix, FloatArray], FloatArray]) -> FloatArray:
            """``X' W left(X, T)`` over the chunks, X centred."""
            summed: FloatArray = np.zeros((N_TERMS, len(target)))
            total = np.zeros(len(target))
            for X, back, w, T in rows:
                part = w[:, None] * left(X, T)
                summed += back @ part
                total += part.sum(axis=0)
            return summed - np.outer(center, total)

        def apply(v: FloatArray) -> FloatArray:
            shift = center @ v
            return gathered(lambda X, T: X @ v - shift) + penalty * v

        v = np.zeros((N_TERMS, len(target)))
        residual = gathered(lambda X, T: T - target)
        direction, size = residual.copy(), (residual**2).sum(axis=0)
        stop = self.tolerance**2 * size
        for _ in range(self.max_iterations):
            if np.all(size <= stop):
                break
            image = apply(direction)
            step = size / np.maximum((direction * image).sum(axis=0), 1e-300)
            v += step * direction
            residual -= step * image
            before, size = size, (residual**2).sum(axis=0)
            direction = residual + size / np.maximum(before, 1e-300) * direction
        # An intercept of a contrast is a level; with few labels it shrinks as levels do.
        keep = mass / (mass + penalty)
        return v, keep * target - center @ v


@dataclass(frozen=True, slots=True)
class _Rows:
    """Chunks of the rows that have a weight: weighted terms, their transpose, weights, targets."""

    present: Collection[csr_matrix]
    idf: FloatArray
    weight: FloatArray
    target: FloatArray

    def __iter__(self) -> Iterator[_Chunk]:
        begin = 0
        for part in self.present:
            rows = slice(begin, begin + part.shape[0])
            begin = rows.stop
            here = np.flatnonzero(self.weight[rows])
            if len(here):
                w, T = self.weight[rows][here], self.target[rows][here]
                X = _weighted(part[here], self.idf)
                yield X, X.T, w, T


class _OnDisk(Collection["csr_matrix"]):
    """Sparse matrices of ones in a folder, read one at a time."""

    def __init__(self, folder: Path, parts: Iterable[csr_matrix]) -> None:
        self.folder, self.size = folder, 0
        for part in parts:
            np.savez(self._file(self.size), indices=part.indices, indptr=part.indptr)
            self.size += 1

    def __len__(self) -> int:
        return self.size

    def __contains__(self, item: object) -> bool:
        return any(item is part for part in self)

    def __iter__(self) -> Iterator[csr_matrix]:
        from scipy.sparse import csr_matrix

        for number in range(self.size):
            with np.load(self._file(number), allow_pickle=False) as kept:
                indices, indptr = kept["indices"], kept["indptr"]
            shape = (len(indptr) - 1, N_TERMS)
            yield csr_matrix((np.ones(len(indices)), indices, indptr), shape=shape)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number}.npz"


def _parts(queries: QueryBatch) -> Iterator[Tokens]:
    for _, part in queries.chunks():
        yield part.tokens


def _weighted(present: csr_matrix, idf: FloatArray) -> csr_matrix:
    """The idf of what is there, rows scaled to unit length."""
    weighted = present.copy()
    weighted.data = idf[present.indices]
    square = np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel()
    weighted.data /= np.repeat(np.sqrt(np.maximum(square, MIN_SQUARE)), np.diff(present.indptr))
    return weighted
