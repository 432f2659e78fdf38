"""Static encoders distilled from sentence-transformers models, and where models come from.

Needs the ``[encoders]`` extra; nothing of it is needed to serve.
"""

from __future__ import annotations

from typing import Final

from router_ml.errors import ConfigError
from router_ml.features.packaged_models import MINILM, model_folder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout

DEFAULT_MODEL: Final = MINILM


def distill_static(name: str = DEFAULT_MODEL, *, dims: int = 256) -> StaticEncoder:
    """Distil a static encoder: every token through the model, then PCA and frequency weights.

    Takes some 15 to 30 s on two cores for MiniLM.

    Parameters
    ----------
    name : any sentence-transformers model, by name or path
    dims : PCA dimensions kept

    References
    ----------
    .. [1] ``sentence_transformers`` ``StaticEmbedding.from_distillation``.
    """
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    quiet()
    with model_folder(name) as model:
        module = StaticEmbedding.from_distillation(model, pca_dims=dims, device="cpu")
    tokenizer = module.tokenizer
    pad_id = tokenizer.token_to_id("[PAD]")
    if pad_id is None:
        raise ConfigError(f"the tokenizer of {name} has no [PAD] token; distil another model")
    return StaticEncoder(
        table=module.embedding.weight.detach().numpy(),
        tokenizer=QueryTokenizer(
            tokenizer_json=tokenizer.to_str(),
            layout=TokenLayout(pad_id=pad_id, separator_id=pad_id),
        ),
    )


def quiet() -> None:
    """No weight-loading report and bar; distillation's own bar stays."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
