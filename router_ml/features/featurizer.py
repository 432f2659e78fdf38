"""Queries to the batch that estimators are fed with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from router_ml.features.encoder import Encoder
from router_ml.features.lexical import NAMES, lexical_features
from router_ml.features.query import Query
from router_ml.types.arrays import IntArray
from router_ml.types.queries import QueryBatch, Tokens

_CHUNK = 2048


class Featurizer:
    """Text, lexical counts, token ids and embeddings of queries, in one pass.

    Parameters
    ----------
    encoder : brings its tokenizer along
    """

    def __init__(self, *, encoder: Encoder) -> None:
        self.encoder = encoder

    def transform(
        self, queries: Sequence[Query], *, progress: Callable[[int], None] | None = None
    ) -> QueryBatch:
        """Build the batch; ``progress`` is told how many queries each step finished."""
        lexical = np.zeros((len(queries), len(NAMES)), dtype=np.float32)
        rows: list[IntArray] = []
        for start in range(0, len(queries), _CHUNK):
            part = queries[start : start + _CHUNK]
            rows.extend(self.encoder.tokenizer.rows(part))
            for i, query in enumerate(part, start):
                lexical[i] = lexical_features(query)
            if progress is not None:
                progress(len(part))
        tokens = Tokens.from_rows(rows)
        return QueryBatch(
            text=tuple(query.text for query in queries),
            tools=tuple(query.tools_text for query in queries),
            tokens=tokens,
            lexical=lexical,
            embedding=self.encoder.encode(tokens),
        )
