"""Queries as estimators see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

CHUNK_ROWS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ragged token ids: row ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    flat : int64 array, shape (n_tokens,)
    offsets : int64 array, shape (n_samples + 1,), non-decreasing from 0 to ``n_tokens``
    """

    flat: IntArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """Tokens per sample, shape (n_samples,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def rows(self) -> IntArray:
        """The sample each token belongs to, shape (n_tokens,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int] | IntArray]) -> Tokens:
        """Pack a list of ids a sample.

        Examples
        --------
        >>> Tokens.from_rows([[5, 6], [], [7]]).lengths
        array([2, 0, 1])
        """
        if len(rows) == 1:
            flat = np.asarray(rows[0], dtype=np.int64)
            return cls(flat, np.array([0, len(flat)]))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=offsets[1:])
        if not len(rows):
            return cls(np.zeros(0, dtype=np.int64), offsets)
        # unsafe, because an empty list is an array of floats
        return cls(np.concatenate(rows, dtype=np.int64, casting="unsafe"), offsets)

    def take(self, index: IntArray) -> Tokens:
        """Rows by integer position, in that order."""
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        return Tokens(self.flat[starts + np.arange(offsets[-1])], offsets)

    def between(self, begin: int, end: int) -> Tokens:
        """Rows ``begin`` to ``end``, ids not copied."""
        offsets = self.offsets[begin : end + 1]
        return Tokens(self.flat[offsets[0] : offsets[-1]], offsets - offsets[0])

    def padded(self, pad_id: int) -> IntArray:
        """Dense ids, shape (n_samples, max(1, longest)), filled up with ``pad_id``."""
        lengths = self.lengths
        width = max(1, int(lengths.max(initial=0)))
        out = np.full((len(self), width), pad_id, dtype=np.int64)
        out[np.arange(width) < lengths[:, None]] = self.flat
        return out


@dataclass(frozen=True, slots=True)
class QueryBatch:
    """What an estimator may see of ``n`` queries; made by :class:`router_ml.features.Featurizer`.

    Parameters
    ----------
    text : query text of each sample (the last human ask and one prior user turn)
    tools : names and descriptions of each sample's tools, one string; ``""`` without tools
    tokens : ids of text and tools as the shipped tokenizer gives them
    lexical : float32 array, shape (n_samples, n_lexical); columns as in ``features.lexical.NAMES``
    embedding : float32 array, shape (n_samples, n_dims), from the shipped encoder
    """

    text: tuple[str, ...]
    tools: tuple[str, ...]
    tokens: Tokens
    lexical: FloatArray
    embedding: FloatArray

    def __post_init__(self) -> None:
        n = len(self.text)
        sizes = {
            "tools": len(self.tools),
            "tokens": len(self.tokens),
            "lexical": len(self.lexical),
            "embedding": len(self.embedding),
        }
        wrong = {name: size for name, size in sizes.items() if size != n}
        if wrong:
            raise SchemaError(f"every part of a QueryBatch must have {n} rows, got {wrong}")

    def __len__(self) -> int:
        return len(self.text)

    def take(self, index: IntArray | BoolArray) -> QueryBatch:
        """Samples by position or by mask."""
        rows: IntArray = np.arange(len(self))[index]
        return QueryBatch(
            text=tuple(self.text[i] for i in rows),
            tools=tuple(self.tools[i] for i in rows),
            tokens=self.tokens.take(rows),
            lexical=self.lexical[rows],
            embedding=self.embedding[rows],
        )

    @property
    def on_disk(self) -> bool:
        """Whether the arrays are read from a file (:mod:`router_ml.features.store`)."""
        return isinstance(self.embedding, np.memmap)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[tuple[slice, QueryBatch]]:
        """The same samples a few at a time, arrays not copied: for what reads a file of features.

        Examples
        --------
        >>> empty = np.zeros((3, 0))
        >>> batch = QueryBatch(("a", "b", "c"), ("",) * 3, Tokens.from_rows([[1], [2], [3]]),
        ...                    empty, empty)
        >>> [part.text for _, part in batch.chunks(2)]
        [('a', 'b'), ('c',)]
        """
        for begin in range(0, len(self), rows):
            part = slice(begin, min(len(self), begin + rows))
            yield (
                part,
                QueryBatch(
                    text=self.text[part],
                    tools=self.tools[part],
                    tokens=self.tokens.between(part.start, part.stop),
                    lexical=self.lexical[part],
                    embedding=self.embedding[part],
                ),
            )

    def followed_by(self, other: QueryBatch) -> QueryBatch:
        """These samples and then others, with features of the same encoder."""
        flat = np.concatenate([self.tokens.flat, other.tokens.flat])
        offsets = np.concatenate(
            [self.tokens.offsets, other.tokens.offsets[1:] + self.tokens.offsets[-1]]
        )
        return QueryBatch(
            text=(*self.text, *other.text),
            tools=(*self.tools, *other.tools),
            tokens=Tokens(flat, offsets),
            lexical=np.vstack([self.lexical, other.lexical]),
            embedding=np.vstack([self.embedding, other.embedding]),
        )
