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
    mask = graph.op("Cast", graph.op("Not", graph.op("Equal", input_ids, pad)), to=1)
    if isinstance(encoder, StaticEncoder):
        table = graph.constant(encoder.table)
        embedding = graph.op("Cast", unit(graph, token_mean(graph, table, input_ids, mask)), to=1)
    elif isinstance(encoder, TransformerEncoder):
        embedding = graph.add_model(encoder.model(), {"input_ids": input_ids}, "embedding")
    else:
        raise ExportError(f"no graph form for an encoder of kind {encoder.kind!r}")
    return FeatureTensors(input_ids=input_ids, mask=mask, embedding=embedding, lexical=lexical)


def token_mean(graph: GraphBuilder, table: str, input_ids: str, mask: str) -> str:
    """Mean over unmasked tokens of rows of ``table`` (n_tokens, d): float64, shape (batch, d).

    Summed in double precision, so that the sum does not depend on its order, on padding or on
    batch-mates: a tree that splits on an embedding sees the same float32 here and in Python.
    """
    rows = graph.op("Cast", graph.op("Gather", table, input_ids, axis=0), to=_DOUBLE)
    mask = graph.op("Cast", mask, to=_DOUBLE)
    weight = graph.op("Unsqueeze", mask, graph.constant(np.array([1], dtype=np.int64)))
    total = graph.op("MatMul", weight, rows)
    axis = graph.constant(np.array([1], dtype=np.int64))
    total = graph.op("Squeeze", total, axis)
    count = graph.op("ReduceSum", mask, axis, keepdims=1)
    return graph.op("Div", total, graph.op("Max", count, _double(graph, 1.0)))


def unit(graph: GraphBuilder, vector: str) -> str:
    """Rows scaled to length one; zero rows stay zero."""
    norm = graph.op("ReduceL2", vector, axes=[1], keepdims=1)
    return graph.op("Div", vector, graph.op("Max", norm, _double(graph, 1e-12)))


def _double(graph: GraphBuilder, value: float) -> str:
    """A float64 scalar; :meth:`GraphBuilder.constant` would store float32."""
    return graph.op("Cast", graph.constant(np.float32(value)), to=_DOUBLE)
