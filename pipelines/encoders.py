"""What is computed once and kept: distilled encoders, and embeddings by content hash."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import numpy as np

from router_ml.errors import ConfigError
from router_ml.features.distill import DEFAULT_MODEL, distill_static, export_transformer
from router_ml.features.encoder import Encoder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer
from router_ml.features.transformer_encoder import TransformerEncoder
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens

EncoderKind = Literal["static", "transformer"]
_RECIPE: Final = "1"
"""Raise it when distillation or export changes, so that old encoders are not found again."""
_CHUNK: Final = 500


def get_encoder(
    *,
    cache: Path,
    kind: EncoderKind = "static",
    model: str = DEFAULT_MODEL,
    dims: int = 256,
    max_tokens: int = 256,
) -> Encoder:
    """Distil or export an encoder, or load the one that was made before.

    Parameters
    ----------
    cache : folder for encoders and embeddings; deleting it is always safe
    kind : ``static`` (distilled; fast; the default) or ``transformer`` (the model itself in ONNX)
    model : any sentence-transformers model, by name or path
    dims : of a static encoder
    max_tokens : of a transformer encoder
    """
    if kind not in ("static", "transformer"):
        raise ConfigError(f"encoder must be 'static' or 'transformer', got {kind!r}")
    size = dims if kind == "static" else max_tokens
    key = hashlib.sha256(f"{_RECIPE}|{kind}|{model}|{size}".encode()).hexdigest()[:16]
    folder = cache / "encoders" / f"{kind}-{key}"
    if not (folder / "layout.json").is_file():
        made: StaticEncoder | TransformerEncoder
        if kind == "static":
            made = distill_static(model, dims=dims)
        else:
            made = export_transformer(model, max_tokens=max_tokens)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        made.save(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    encoder = load_encoder(kind, folder)
    if isinstance(encoder, TransformerEncoder):
        return CachedEncoder(encoder=encoder, path=cache / "embeddings.sqlite")
    return encoder


def load_encoder(kind: EncoderKind, folder: Path) -> StaticEncoder | TransformerEncoder:
    """Read what ``encoder.save(folder)`` wrote."""
    return StaticEncoder.load(folder) if kind == "static" else TransformerEncoder.load(folder)


class CachedEncoder:
    """An encoder that remembers embeddings on disk, by hash of encoder and token ids.

    Static embeddings cost less than a look-up, so only transformers are wrapped.

    Parameters
    ----------
    encoder : asked for what is not there yet
    path : SQLite file, made when needed; several processes may share it
    """

    def __init__(self, *, encoder: TransformerEncoder, path: Path) -> None:
        self.inner = encoder
        self.kind = encoder.kind
        self.tokenizer: QueryTokenizer = encoder.tokenizer
        self.path = path

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return self.inner.dims

    @property
    def digest(self) -> str:
        """The inner encoder's."""
        return self.inner.digest

    def save(self, folder: Path) -> None:
        """Write the inner encoder."""
        self.inner.save(folder)

    def encode(self, tokens: Tokens) -> FloatArray:
        """Embeddings, float32, shape (n_samples, dims)."""
        prefix = self.digest.encode()
        keys = [
            hashlib.blake2b(prefix + tokens.flat[a:b].tobytes(), digest_size=16).digest()
            for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=60)) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
            )
            known = self._known(database, sorted(set(keys)))
            fresh = {key: i for i, key in enumerate(keys) if key not in known}
            for start in range(0, len(fresh), _CHUNK):
                part = list(fresh)[start : start + _CHUNK]
                vectors = self.inner.encode(tokens.take(np.array([fresh[key] for key in part])))
                rows = [(k, v.tobytes()) for k, v in zip(part, vectors, strict=True)]
                with database:
                    database.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", rows)
                known.update(zip(part, vectors, strict=True))
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, self.dims), "f4")

    @staticmethod
    def _known(database: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, FloatArray]:
        found: dict[bytes, FloatArray] = {}
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, vector FROM embeddings WHERE key IN ({marks})"
            for key, vector in database.execute(query, part):
                found[key] = np.frombuffer(vector, dtype=np.float32)
        return found
