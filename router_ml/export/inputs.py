"""Inputs of the graph, declared by what first asks for them, and sums over a query's tokens."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from router_ml.export.graph import GraphBuilder
from router_ml.runtime.inputs import INPUTS


def add_input(graph: GraphBuilder, name: str) -> str:
    """The graph input ``name``, of :data:`router_ml.runtime.inputs.INPUTS`."""
    dtype, shape = INPUTS[name]
    return graph.input(name, dtype, shape)


def row_sum(graph: GraphBuilder, values: str, rows: str, *, width: int) -> str:
    """Sum of the values of each query, one after the other: float32, shape (batch, width).

    Parameters
    ----------
    values : float32, (n, width)
    rows : int64, (n, 1), the query each belongs to
    """
    batch = graph.op("Shape", add_input(graph, "lexical"), end=1)
    shape = graph.op("Concat", batch, graph.constant(np.array([width])), axis=0)
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    empty = graph.op("ConstantOfShape", shape, value=zero)
    return graph.op("ScatterND", empty, rows, values, reduction="add")
