"""A fitted router to one ONNX graph."""

from __future__ import annotations

import importlib
import pkgutil

from router_ml.estimators.router import RouterEstimator
from router_ml.export import heads
from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.features.encoder import Encoder
from router_ml.types.predictions import EMBEDDING, PARTS


def export_router(estimator: RouterEstimator, encoder: Encoder, *, n_candidates: int) -> bytes:
    """Write encoder and every head into one graph.

    Parameters
    ----------
    estimator : fitted
    encoder : the one whose embeddings it was fitted on
    n_candidates : K, the columns of every output

    Returns
    -------
    bytes
        A serialised model: some of :data:`router_ml.runtime.inputs.INPUTS` to ``quality``,
        ``input_tokens``, ``output_tokens`` and ``latency_ms``, each (batch, K); and ``embedding``,
        (batch, d), which costs nothing where it is not asked for.

    Raises
    ------
    ExportError
        If an estimator has no head, or the graph is not valid ONNX.
    """
    load_heads()
    graph = GraphBuilder()
    features = add_encoder(graph, encoder)
    for part in PARTS:
        tensor = add_head(getattr(estimator, part), graph, features)
        graph.output(tensor, part, ("batch", n_candidates))
    graph.output(features.embedding, EMBEDDING, ("batch", encoder.dims))
    model: bytes = graph.build().SerializeToString()
    return model


def load_heads() -> None:
    """Import every head module, so that each registers with ``add_head``."""
    for module in pkgutil.iter_modules(heads.__path__):
        importlib.import_module(f"{heads.__name__}.{module.name}")
