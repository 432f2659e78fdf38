"""A sentence-transformers model run through ONNX: slower than static, and the teacher."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens


class TransformerEncoder:
    """Mean-pooled, unit-length output of an encoder in ONNX.

    Parameters
    ----------
    onnx_model : serialised model, ``input_ids`` (batch, tokens) to ``embedding`` (batch, dims);
        it masks ``pad_id`` itself. Made by :func:`router_ml.features.distill.export_transformer`.
    tokenizer : with the model's special tokens in its layout
    threads : of ONNX Runtime
    """

    kind: ClassVar[str] = "transformer"

    def __init__(self, *, onnx_model: bytes, tokenizer: QueryTokenizer, threads: int = 2) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.tokenizer = tokenizer
        self.onnx_model = onnx_model
        self._session = ort.InferenceSession(
            onnx_model, options, providers=["CPUExecutionProvider"]
        )

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return int(self._session.get_outputs()[0].shape[1])

    @property
    def digest(self) -> str:
        """Hash of model, tokenizer and layout."""
        h = hashlib.blake2b(self.onnx_model, digest_size=16)
        h.update(self.tokenizer.to_json().encode())
        h.update(repr(self.tokenizer.layout).encode())
        return h.hexdigest()

    def model(self) -> Any:
        """The parsed ``onnx.ModelProto``, for the bundle's graph."""
        import onnx

        return onnx.load_from_string(self.onnx_model)

    def encode(
        self, tokens: Tokens, *, progress: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Embeddings, float32, shape (n_samples, dims); one query at a time.

        Dynamic int8 quantisation scales by the whole batch's activations, so a query's embedding
        would change with its batch-mates, and training would see other numbers than serving.
        """
        out = np.zeros((len(tokens), self.dims), dtype=np.float32)
        for i in range(len(tokens)):
            ids = tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]][None]
            out[i] = self._session.run(["embedding"], {"input_ids": ids})[0][0]
            if progress is not None:
                progress(1)
        return out

    def save(self, folder: Path) -> None:
        """Write ``encoder.onnx``, ``tokenizer.json`` and ``layout.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "encoder.onnx").write_bytes(self.onnx_model)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
        (folder / "layout.json").write_text(json.dumps(asdict(self.tokenizer.layout)))

    @classmethod
    def load(cls, folder: Path) -> TransformerEncoder:
        """Read what :meth:`save` wrote."""
        layout = TokenLayout(**json.loads((folder / "layout.json").read_text()))
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        return cls(
            onnx_model=(folder / "encoder.onnx").read_bytes(),
            tokenizer=QueryTokenizer(tokenizer_json=text, layout=layout),
        )
