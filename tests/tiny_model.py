"""A tiny BERT whose word ``17`` has the id 17, as in the example batches."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from router_ml.checks.examples import N_TOKENS

SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")


@cache
def tiny_model() -> str:
    """Folder of the model; made once a process."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = Path(tempfile.mkdtemp(prefix="tiny-model-"))
    words = ["[PAD]", *map(str, range(1, N_TOKENS)), *SPECIAL]
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)
