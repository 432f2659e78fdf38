"""Encoders as graph nodes: token ids to a unit-length embedding."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from router_ml.errors import ExportError
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.inputs import add_input, row_sum
from router_ml.features.encoder import Encoder
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.features.static_encoder import StaticEncoder

_DOUBLE: Final = int(onnx.TensorProto.DOUBLE)


def add_encoder(graph: GraphBuilder, encoder: Encoder) -> FeatureTensors:
    """Add the encoder, and declare the inputs that it and every graph has.

    Raises
    ------
    ExportError
        If the encoder is of a kind without a graph form.
    """
    lexical = add_input(graph, "lexical")
    if isinstance(encoder, StaticEncoder):
        embedding = _static_embedding(graph, encoder)
    elif isinstance(encoder, SentenceEncoder):
        input_ids = add_input(graph, "input_ids")
        sentence = graph.add_model(encoder.model(), {"input_ids": input_ids}, "embedding")
        both = graph.op("Concat", _static_embedding(graph, encoder.static), sentence, axis=1)
        embedding = graph.op("Mul", both, graph.constant(np.float32(0.5**0.5)))
    else:
        raise ExportError(f"no graph form for an encoder of kind {encoder.kind!r}")
    return FeatureTensors(embedding=embedding, lexical=lexical)


def _static_embedding(graph: GraphBuilder, encoder: StaticEncoder) -> str:
    """Unit-length sum of the tokens' rows of the table: float32, shape (batch, d).

    Summed in the order of the tokens as in Python, and scaled in double precision: a tree that
    splits on an embedding sees the same float32 here and there, alone and in any batch.
    """
    table = graph.constant(encoder.table)
    vectors = graph.op("Gather", table, add_input(graph, "tokens"), axis=0)
    total = row_sum(graph, vectors, add_input(graph, "token_rows"), width=encoder.dims)
    total = graph.op("Cast", total, to=_DOUBLE)
    norm = graph.op("ReduceL2", total, axes=[1], keepdims=1)
    tiny = graph.op("Cast", graph.constant(np.float32(1e-12)), to=_DOUBLE)
    return graph.op("Cast", graph.op("Div", total, graph.op("Max", norm, tiny)), to=1)
