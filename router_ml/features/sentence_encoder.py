"""A frozen sentence encoder beside the static one: milliseconds, not microseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens

_MODEL: Final = "sentence.onnx"
_BATCH_TOKENS: Final = 4096


class SentenceEncoder:
    r"""Static embedding and sentence embedding, one after the other, of unit length together.

    .. math:: e = \tfrac{1}{\sqrt 2} [e^{\mathrm{static}}, e^{\mathrm{sentence}}]

    The static part comes first, so that trees that are given leading dimensions alone split on the
    same exact floats as without a sentence encoder. The sentence encoder reads the tokens of
    the static one, so a query is tokenised once.

    Parameters
    ----------
    static : brings the tokenizer along
    onnx_model : serialised model, ``input_ids`` of the static encoder (batch, tokens) to
        ``embedding`` (batch, dims) of unit length; padding and batch-mates may change nothing.
        Made by :func:`router_ml.features.sentence_export.export_sentence_encoder`.
    threads : of ONNX Runtime, here; the service has its own
    """

    kind: ClassVar[str] = "sentence"

    def __init__(self, *, static: StaticEncoder, onnx_model: bytes, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.static = static
        self.tokenizer: QueryTokenizer = static.tokenizer
        self.onnx_model = onnx_model
        self._session = ort.InferenceSession(
            onnx_model, options, providers=["CPUExecutionProvider"]
        )

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return self.static.dims + int(self._session.get_outputs()[0].shape[1])

    @property
    def digest(self) -> str:
        """Hash of model and static encoder."""
        h = hashlib.blake2b(self.onnx_model, digest_size=16)
        h.update(self.static.digest.encode())
        return h.hexdigest()

    def model(self) -> Any:
        """The parsed ``onnx.ModelProto``, for the bundle's graph."""
        import onnx

        return onnx.load_from_string(self.onnx_model)

    def encode(
        self, tokens: Tokens, *, progress: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Embeddings, float32, shape (n_samples, dims)."""
        sentence = np.zeros((len(tokens), self.dims - self.static.dims), dtype=np.float32)
        order = np.argsort(tokens.lengths, kind="stable")
        start = 0
        while start < len(order):
            size = max(1, _BATCH_TOKENS // max(1, int(tokens.lengths[order[start]])))
            rows = order[start : start + size]
            ids = tokens.take(rows).padded(self.tokenizer.layout.pad_id)
            sentence[rows] = self._session.run(["embedding"], {"input_ids": ids})[0]
            start += size
            if progress is not None:
                progress(len(rows))
        both: FloatArray = np.hstack([self.static.encode(tokens), sentence]) * np.float32(0.5**0.5)
        return both

    def save(self, folder: Path) -> None:
        """Write ``sentence.onnx`` and the files of the static encoder."""
        self.static.save(folder)
        (folder / _MODEL).write_bytes(self.onnx_model)

    @classmethod
    def load(cls, folder: Path) -> SentenceEncoder:
        """Read what :meth:`save` wrote."""
        return cls(static=StaticEncoder.load(folder), onnx_model=(folder / _MODEL).read_bytes())
