"""A sentence-transformers model as one int8 graph over a static encoder's tokens.

Needs the ``[encoders]`` extra; nothing of it is needed to predict or to serve.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from router_ml.errors import ConfigError
from router_ml.features.distill import quiet
from router_ml.features.fast_tokenizer import CHECKED
from router_ml.features.packaged_models import model_folder
from router_ml.features.row_quantization import quantize_rows
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.types.arrays import IntArray

_PAD: Final = 0


def export_sentence_encoder(
    model: str, static: StaticEncoder, *, max_tokens: int = 128, quantize: bool = True
) -> SentenceEncoder:
    """The encoder part of a sentence-transformers model, frozen, beside a static one.

    Parameters
    ----------
    model : any sentence-transformers model over a BERT-like encoder with mean or CLS pooling, by
        name or path
    static : its tokens are what the graph reads; both must cut text into the same pieces
    max_tokens : a longer query keeps its first third and its end; special tokens included
    quantize : int8 by row and channel; else single precision, for comparison

    Raises
    ------
    ConfigError
        If the model pools otherwise, or its tokenizer cuts text into other pieces.
    """
    from sentence_transformers import SentenceTransformer

    quiet()
    with model_folder(model) as folder:
        whole: Any = SentenceTransformer(folder, device="cpu")
    limit = int(whole[0].auto_model.config.max_position_embeddings)
    if not 4 <= max_tokens <= limit:
        raise ConfigError(f"max_tokens must be 4 to {limit}, {model}'s own, got {max_tokens}")
    network = SentenceNetwork(
        encoder=whole[0].auto_model,
        pooling=_pooling(whole, model),
        token_map=token_map(whole.tokenizer, static, model),
        special=(whole.tokenizer.cls_token_id, whole.tokenizer.sep_token_id),
        max_tokens=max_tokens,
    )
    graph = to_onnx(network)
    if quantize:
        graph = quantize_rows(graph)
    return SentenceEncoder(static=static, onnx_model=graph.SerializeToString())


def token_map(tokenizer: Any, static: StaticEncoder, model: str) -> IntArray:
    """The model's id of every id of the static encoder, by the token's text, shape (n_ids,)."""
    from tokenizers import Tokenizer

    ours = Tokenizer.from_str(static.tokenizer.to_json())
    ours.no_truncation()
    theirs = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    theirs.no_truncation()
    theirs.no_padding()
    special = {*tokenizer.all_special_tokens, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    for text in CHECKED:
        if any(token in text for token in special):
            continue
        pieces = [one.encode(text, add_special_tokens=False).tokens for one in (ours, theirs)]
        known = [[p for p in part if p not in special] for part in pieces]
        if known[0] != known[1]:
            raise ConfigError(
                f"{model} cuts text into other pieces than the static encoder: {text[:40]!r} is "
                f"{pieces[1][:8]} and {pieces[0][:8]}; take a model with BERT's lower-case pieces"
            )
    found = tokenizer.get_vocab()
    ids = np.full(len(static.table), tokenizer.unk_token_id, dtype=np.int64)
    for token, i in ours.get_vocab().items():
        ids[i] = found.get(token, tokenizer.unk_token_id)
    ids[static.tokenizer.layout.pad_id] = tokenizer.pad_token_id
    return ids


def _pooling(whole: Any, model: str) -> str:
    told = whole[1].get_config_dict() if len(whole) > 1 else {}
    mode = told.get("pooling_mode")
    if mode is None:
        given = [k for k, v in told.items() if k.startswith("pooling_mode_") and v is True]
        mode = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}.get(
            given[0] if len(given) == 1 else ""
        )
    if mode not in ("mean", "cls"):
        raise ConfigError(f"{model} must pool by mean or cls, got {told}")
    return str(mode)


class SentenceNetwork(nn.Module):
    """Rows of a static encoder's ids to unit-length embeddings.

    Parameters
    ----------
    encoder : of transformers
    pooling : ``mean`` or ``cls``
    token_map : the model's ids, shape (n_ids,)
    special : ids of what begins and what ends a text
    max_tokens : special tokens included
    """

    def __init__(
        self,
        *,
        encoder: Any,
        pooling: str,
        token_map: IntArray,
        special: tuple[int, int],
        max_tokens: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.config._attn_implementation = "eager"
        self.pooling, self.max_tokens = pooling, max_tokens
        self.begin, self.end = special
        self.token_map: Tensor
        self.register_buffer("token_map", torch.from_numpy(np.ascontiguousarray(token_map)))
        self.last_id = len(token_map) - 1

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embeddings, shape (batch, dims), of padded rows, shape (batch, tokens)."""
        # An id that the vocabulary does not have is taken for its last.
        ids = torch.clamp(self._cut(input_ids), max=self.last_id)
        nothing = torch.zeros_like(ids[:, :1])
        length = _lengths(ids)
        mapped = torch.cat([self.token_map[ids], self.token_map[nothing]], dim=1)
        place = torch.arange(mapped.shape[1])
        mapped = torch.where(place == length, self.end, mapped)
        mapped = torch.cat([torch.full_like(nothing, self.begin), mapped], dim=1)
        real = torch.cat([nothing == _PAD, torch.cat([ids, nothing], 1) != _PAD], dim=1)
        mask = (real | (torch.arange(mapped.shape[1]) == length + 1)).to(torch.float32)
        # An additive mask of four dimensions is used as it is, so that tracing meets no
        # data-dependent branch; MPNet's code makes its own of two.
        additive = (1.0 - mask)[:, None, None, :] * -1e4
        hidden = self.encoder(
            input_ids=mapped,
            attention_mask=mask if self.encoder.config.model_type == "mpnet" else additive,
        ).last_hidden_state
        if self.pooling == "cls":
            return nn.functional.normalize(hidden[:, 0], dim=1)
        weight = mask[:, :, None]
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)

    def _cut(self, ids: Tensor) -> Tensor:
        """The first third and the end of rows that are too long, by a gather along the row."""
        room = self.max_tokens - 2
        place = torch.arange(ids.shape[1])[None, :room]
        jump = torch.where(place < room // 3, 0, torch.clamp(_lengths(ids) - room, min=0))
        return torch.gather(ids, 1, place + jump)


def _lengths(ids: Tensor) -> Tensor:
    """Ids up to the last that is no padding, shape (batch, 1)."""
    place = torch.arange(ids.shape[1])
    return ((ids != _PAD) * (place + 1)).amax(dim=1, keepdim=True)


def to_onnx(network: nn.Module) -> onnx.ModelProto:
    """``input_ids`` to ``embedding``, any batch and length, in single precision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        torch.onnx.export(
            network.eval(),
            (torch.tensor([[5, 6, 7], [5, 6, _PAD]]),),
            path,
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        return onnx.load(path)
