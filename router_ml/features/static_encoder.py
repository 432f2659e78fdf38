"""Static embeddings: a row a token, their mean a query. Microseconds instead of milliseconds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np

from router_ml.errors import ConfigError
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens

_CHUNK_TOKENS = 1_000_000
_EPSILON = 1e-12


class StaticEncoder:
    r"""Unit-length mean of token vectors, which is their unit-length sum.

    .. math:: e = s / \max(\lVert s \rVert, \epsilon), \quad
              s = \sum_{t \in T} W_t, \quad T = \{t : t \ne pad\}

    The sum is taken in single precision in the order of the tokens, here as in the graph, so that
    both give the same floats (ADR 9).

    Parameters
    ----------
    table : float32 array, shape (n_tokens, dims); :math:`W`
    tokenizer : its layout's ``pad_id`` is masked

    References
    ----------
    .. [1] Tulkens and van Dongen, "Model2Vec: Fast State-of-the-Art Static Embeddings", 2024.
    """

    kind: ClassVar[str] = "static"

    def __init__(self, *, table: FloatArray, tokenizer: QueryTokenizer) -> None:
        if table.ndim != 2:
            raise ConfigError(f"table must have shape (n_tokens, dims), got {table.shape}")
        self.table = np.ascontiguousarray(table, dtype=np.float32)
        self.tokenizer = tokenizer

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return int(self.table.shape[1])

    @property
    def digest(self) -> str:
        """Hash of table, tokenizer and layout."""
        h = hashlib.blake2b(b"float32 sums in the order of tokens", digest_size=16)
        h.update(self.table.data)
        h.update(self.tokenizer.to_json().encode())
        h.update(repr(self.tokenizer.layout).encode())
        return h.hexdigest()

    def encode(self, tokens: Tokens) -> FloatArray:
        """Embeddings, float32, shape (n_samples, dims)."""
        out = np.zeros((len(tokens), self.dims), dtype=np.float32)
        start = 0
        while start < len(tokens):
            limit = tokens.offsets[start] + _CHUNK_TOKENS
            stop = max(start + 1, int(np.searchsorted(tokens.offsets, limit, side="right")) - 1)
            out[start:stop] = self._mean(tokens.take(np.arange(start, stop)))
            start = stop
        return out

    def _mean(self, tokens: Tokens) -> FloatArray:
        from scipy.sparse import csr_matrix

        # A row's product adds its tokens' rows one after the other, as the graph does.
        keep = tokens.flat != self.tokenizer.layout.pad_id
        shape = (len(tokens), len(self.table))
        counts = csr_matrix((keep.astype(np.float32), tokens.flat, tokens.offsets), shape=shape)
        total = (counts @ self.table).astype(np.float64)
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        scaled: FloatArray = (total / np.maximum(norm, _EPSILON)).astype(np.float32)
        return scaled

    def save(self, folder: Path) -> None:
        """Write ``table.npy``, ``tokenizer.json`` and ``layout.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "table.npy", self.table)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
        (folder / "layout.json").write_text(json.dumps(asdict(self.tokenizer.layout)))

    @classmethod
    def load(cls, folder: Path) -> StaticEncoder:
        """Read what :meth:`save` wrote."""
        layout = TokenLayout(**json.loads((folder / "layout.json").read_text()))
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        tokenizer = QueryTokenizer(tokenizer_json=text, layout=layout)
        return cls(table=np.load(folder / "table.npy", allow_pickle=False), tokenizer=tokenizer)
