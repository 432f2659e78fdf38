"""What is computed once and kept: distilled encoders, and embeddings by content hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import numpy as np

from router_ml.errors import ConfigError
from router_ml.features.distill import DEFAULT_MODEL, distill_static
from router_ml.features.encoder import Encoder
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens

EncoderKind = Literal["static", "sentence"]
_RECIPE: Final = "1"
"""Raise it when distillation or export changes, so that old encoders are not found again."""
_CHUNK: Final = 500


def get_encoder(
    *,
    cache: Path,
    kind: EncoderKind = "static",
    model: str = DEFAULT_MODEL,
    dims: int = 256,
    max_tokens: int = 128,
) -> Encoder:
    """Distil or export an encoder, or load the one that was made before.

    Parameters
    ----------
    cache : folder for encoders and embeddings; deleting it is always safe
    kind : ``static`` (microseconds; the default), or ``sentence``: a frozen sentence encoder's
        embedding beside the default static one's (milliseconds)
    model : any sentence-transformers model, by name or path: what is distilled, or the frozen one
    dims : of the static encoder
    max_tokens : that the frozen encoder reads
    """
    if kind not in ("static", "sentence"):
        raise ConfigError(f"encoder must be 'static' or 'sentence', got {kind!r}")
    size = f"{dims}" if kind == "static" else f"{dims}|{max_tokens}"
    key = hashlib.sha256(f"{_RECIPE}|{kind}|{model}|{size}".encode()).hexdigest()[:16]
    folder = cache / "encoders" / f"{kind}-{key}"
    if not (folder / "layout.json").is_file():
        made: StaticEncoder | SentenceEncoder
        if kind == "static":
            made = distill_static(model, dims=dims)
        else:
            made = _sentence_encoder(model, cache=cache, dims=dims, max_tokens=max_tokens)
        _keep(made, folder)
    encoder = load_encoder(kind, folder)
    if isinstance(encoder, SentenceEncoder):
        return CachedEncoder(encoder=encoder, path=cache / "embeddings.sqlite")
    return encoder


def _keep(made: StaticEncoder | SentenceEncoder, folder: Path) -> None:
    """Write it whole or not at all; of processes that make the same, the first one's stays."""
    partial = folder.with_suffix(f".{os.getpid()}")
    made.save(partial)
    if not (folder / "layout.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)


def _sentence_encoder(model: str, *, cache: Path, dims: int, max_tokens: int) -> SentenceEncoder:
    from router_ml.features.sentence_export import export_sentence_encoder

    static = get_encoder(cache=cache, dims=dims)
    if not isinstance(static, StaticEncoder):
        raise ConfigError(f"expected a static encoder in {cache}, got {static.kind}")
    return export_sentence_encoder(model, static, max_tokens=max_tokens)


def load_encoder(kind: EncoderKind, folder: Path) -> StaticEncoder | SentenceEncoder:
    """Read what ``encoder.save(folder)`` wrote."""
    return StaticEncoder.load(folder) if kind == "static" else SentenceEncoder.load(folder)


class CachedEncoder:
    """An encoder that remembers embeddings on disk, by hash of encoder and token ids.

    Static embeddings cost less than a look-up, so only sentence encoders are wrapped.

    Parameters
    ----------
    encoder : asked for what is not there yet
    path : SQLite file, made when needed; several processes may share it
    """

    def __init__(self, *, encoder: SentenceEncoder, path: Path) -> None:
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
