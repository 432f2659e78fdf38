"""Fine-tuning of a sentence encoder in PyTorch, and its way to ONNX.

Needs the ``[encoders]`` extra; nothing of it is needed to predict or to serve.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from router_ml.errors import ConfigError
from router_ml.features.distill import quiet
from router_ml.features.packaged_models import resolve_model
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch, Tokens

PAD_ID: Final = 0
_UNUSED: Final = "[unused"
_COMPARED: Final = 64
_LAST_RATE: Final = 0.02
_MAX_NORM: Final = 1.0


def token_map(model: str, queries: QueryBatch) -> IntArray:
    """The model's id of every id in the batch, shape (n_ids,).

    A static encoder numbers the tokens of the model it was distilled from anew, in order, without
    ``[unused…]``, ``[CLS]``, ``[SEP]`` and ``[MASK]``. Which numbering a batch has is seen by
    tokenising some of its texts.

    Raises
    ------
    ConfigError
        If the batch was tokenised by anything else.
    """
    from transformers import AutoTokenizer

    quiet()
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(model))
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    whole = np.array([i for _, i in by_id])
    gone = {tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token}
    short = np.array([i for t, i in by_id if not t.startswith(_UNUSED) and t not in gone])
    rows = np.linspace(0, len(queries) - 1, min(_COMPARED, len(queries))).astype(int)
    texts = [queries.text[i] for i in rows]
    wanted = tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"]
    tokens = queries.tokens
    given = [tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]] for i in rows]
    for candidate in (whole, short):
        if all(_begins(candidate, ids, text) for ids, text in zip(given, wanted, strict=True)):
            return candidate
    raise ConfigError(
        f"the tokens of this batch are not those of {model}; use the static encoder distilled from "
        "it, or pass model= the one that the encoder was made from"
    )


def _begins(candidate: IntArray, ids: IntArray, text: Sequence[int]) -> bool:
    """Whether the mapped ids begin as the text's own, as far as both go."""
    if len(ids) and ids.max() >= len(candidate):
        return False
    n = min(len(ids), len(text))
    return bool(np.array_equal(candidate[ids[:n]], np.asarray(text[:n], dtype=np.int64)))


class Network(nn.Module):
    """Token ids of the batch to logits of every candidate.

    Parameters
    ----------
    model : name or path
    token_map : the model's ids, shape (n_ids,)
    max_tokens : a longer row keeps its first third and its end
    n_trained_layers : upper layers whose weights change
    intercept : starting logits, shape (K,)
    random_state : seeds dropout and the output's start
    """

    def __init__(
        self,
        *,
        model: str,
        token_map: IntArray,
        max_tokens: int,
        n_trained_layers: int,
        intercept: FloatArray,
        random_state: int,
    ) -> None:
        from transformers import AutoModel, AutoTokenizer

        super().__init__()
        quiet()
        path = resolve_model(model)
        self.random_state = random_state
        self.max_tokens = max_tokens
        self.cls_id = int(AutoTokenizer.from_pretrained(path).cls_token_id)
        self.encoder: Any = AutoModel.from_pretrained(path, attn_implementation="eager")
        self.token_map: Tensor
        self.register_buffer("token_map", torch.from_numpy(np.ascontiguousarray(token_map)))
        self.last_id = len(token_map) - 1
        self.encoder.requires_grad_(False)
        self.frozen = nn.ModuleList(list(self.encoder.encoder.layer)[:-n_trained_layers])
        self.trained = nn.ModuleList(list(self.encoder.encoder.layer)[-n_trained_layers:])
        self.trained.requires_grad_(True)
        self.out = nn.Linear(self.encoder.config.hidden_size, len(intercept) + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.intercept: Tensor
        self.register_buffer("intercept", torch.tensor(intercept, dtype=torch.float32))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits, shape (batch, K), of padded rows, shape (batch, tokens)."""
        # An id that the vocabulary does not have is taken for its last.
        ids = torch.clamp(self._cut(input_ids), max=self.last_id)
        real = (ids != PAD_ID).to(torch.float32)
        first = torch.ones_like(real[:, :1])
        mask = torch.cat([first, real], dim=1)
        mapped = torch.cat([torch.full_like(ids[:, :1], self.cls_id), self.token_map[ids]], dim=1)
        # An additive mask of four dimensions is used as it is, so that tracing meets no
        # data-dependent branch.
        hidden = self.encoder(
            input_ids=mapped, attention_mask=(1.0 - mask)[:, None, None, :] * -1e4
        ).last_hidden_state
        weight = mask[:, :, None]
        mean = (hidden.float() * weight).sum(1) / weight.sum(1)
        out = self.out(mean)
        logits: Tensor = self.intercept + out[:, :1] + out[:, 1:]
        return logits

    def _cut(self, ids: Tensor) -> Tensor:
        """The first third and the end of rows that are too long, by a gather along the row."""
        room = self.max_tokens - 1
        place = torch.arange(ids.shape[1])
        length = ((ids != PAD_ID) * (place + 1)).amax(dim=1, keepdim=True)
        place = place[None, :room]
        jump = torch.where(place < room // 3, 0, torch.clamp(length - room, min=0))
        return torch.gather(ids, 1, place + jump)

    def train_on(
        self,
        *,
        batches: Sequence[IntArray],
        tokens: Tokens,
        quality: FloatArray,
        weight: FloatArray,
        rates: tuple[float, float],
        warm_up: float,
    ) -> None:
        """Minimise weighted cross-entropy, one step a batch, and end in evaluation mode.

        Parameters
        ----------
        batches : rows of every step
        tokens : of n queries
        quality, weight : shape (n, K); weight is zero where quality is unknown
        rates : learning rates of layers and output
        warm_up : share of the steps in which the rates rise
        """
        torch.manual_seed(self.random_state)
        target, counts = torch.tensor(quality).float(), torch.tensor(weight).float()
        groups = [
            {"params": self.trained.parameters(), "lr": rates[0]},
            {"params": self.out.parameters(), "lr": rates[1]},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        rise = max(1.0, warm_up * len(batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda t: min(1.0, (t + 1) / rise) * max(_LAST_RATE, 1.0 - t / len(batches)),
        )
        half = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        self.eval()
        self.trained.train()
        for rows in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = self(_padded(tokens, rows))
            loss = binary_cross_entropy_with_logits(
                logits.float(), target[rows], weight=counts[rows], reduction="sum"
            )
            (loss / len(rows)).backward()  # type: ignore[no-untyped-call]  # torch is partly typed
            nn.utils.clip_grad_norm_(self.parameters(), _MAX_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        self.eval()


def _padded(tokens: Tokens, rows: IntArray) -> Tensor:
    width = max(1, int(tokens.lengths[rows].max()))
    ids = np.full((len(rows), width), PAD_ID, dtype=np.int64)
    for r, i in enumerate(rows):
        row = tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]]
        ids[r, : len(row)] = row
    return torch.from_numpy(ids)


def to_onnx(network: Network) -> bytes:
    """The network with a logistic end as ONNX: ``input_ids`` to ``quality``, any batch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        torch.onnx.export(
            nn.Sequential(network, nn.Sigmoid()).eval(),
            (torch.tensor([[5, 6, 7], [5, 6, PAD_ID]]),),
            path,
            input_names=["input_ids"],
            output_names=["quality"],
            dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "quality": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        return path.read_bytes()
