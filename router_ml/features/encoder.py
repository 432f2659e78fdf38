"""What an encoder is: token ids in, one vector a query out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from router_ml.features.tokenizer import QueryTokenizer
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens


class Encoder(Protocol):
    """Turns token ids into embeddings; :mod:`router_ml.export` puts the same maths in the graph."""

    tokenizer: QueryTokenizer

    @property
    def kind(self) -> str:
        """``static`` or ``transformer``."""
        ...

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def digest(self) -> str:
        """Hash of all that decides its output; the key of embedding caches."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain files that :func:`pipelines.encoders.load_encoder` reads."""
        ...

    def encode(self, tokens: Tokens) -> FloatArray:
        """Embeddings, float32, shape (n_samples, dims), of unit length (zero for no tokens)."""
        ...
