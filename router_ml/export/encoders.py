"""Encoders as graph nodes: token ids to a unit-length embedding."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from router_ml.errors import ExportError
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.features.encoder import Encoder
from router_ml.features.lexical import NAMES
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.transformer_encoder import TransformerEncoder

_DOUBLE: Final = int(onnx.TensorProto.DOUBLE)


def add_inputs(graph: GraphBuilder, encoder: Encoder) -> FeatureTensors:
    """Declare the graph's inputs and add the encoder.

    Raises
    ------
    ExportError
        If the encoder is of a kind without a graph form.
    """
    input_ids = graph.input("input_ids", np.int64, ("batch", "tokens"))
    lexical = graph.input("lexical", np.float32, ("batch", len(NAMES)))
    pad = graph.constant(np.int64(encoder.tokenizer.layout.pad_id))
    real = graph.op("Not", graph.op("Equal", input_ids, pad))
    if isinstance(encoder, StaticEncoder):
        embedding = static_embedding(graph, graph.constant(encoder.table), input_ids, real)
    elif isinstance(encoder, TransformerEncoder):
        embedding = graph.add_model(encoder.model(), {"input_ids": input_ids}, "embedding")
    else:
        raise ExportError(f"no graph form for an encoder of kind {encoder.kind!r}")
    return FeatureTensors(input_ids=input_ids, real=real, embedding=embedding, lexical=lexical)


def static_embedding(graph: GraphBuilder, table: str, input_ids: str, real: str) -> str:
    """Unit-length mean of the tokens' rows of ``table`` (n_tokens, d): float32, shape (batch, d).

    Summed in double precision, so that the sum does not depend on its order, on padding or on
    batch-mates: a tree that splits on an embedding sees the same float32 here and in Python. A mean
    scaled to length one is a sum scaled to length one, so nothing is divided by the count.
    """
    total = token_sum(graph, table, input_ids, real)
    norm = graph.op("ReduceL2", total, axes=[1], keepdims=1)
    tiny = graph.op("Cast", graph.constant(np.float32(1e-12)), to=_DOUBLE)
    return graph.op("Cast", graph.op("Div", total, graph.op("Max", norm, tiny)), to=1)


def token_sum(graph: GraphBuilder, table: str, input_ids: str, real: str) -> str:
    """Sum over real tokens of rows of ``table`` (n_tokens, d): float64, shape (batch, d)."""
    rows = graph.op("Cast", graph.op("Gather", table, input_ids, axis=0), to=_DOUBLE)
    axis = graph.constant(np.array([1], dtype=np.int64))
    # A product with the mask: ReduceSum over the middle axis is four times slower for one query.
    weight = graph.op("Unsqueeze", graph.op("Cast", real, to=_DOUBLE), axis)
    return graph.op("Squeeze", graph.op("MatMul", weight, rows), axis)
