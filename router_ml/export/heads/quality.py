"""Pieces that the heads of quality estimators share."""

from __future__ import annotations

import numpy as np

from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.types.arrays import FloatArray

AXIS_1 = np.array([1], dtype=np.int64)


def clip_quality(graph: GraphBuilder, quality: str) -> str:
    """Quality in [0, 1]."""
    zero, one = graph.constant(np.float32(0.0)), graph.constant(np.float32(1.0))
    return graph.op("Clip", quality, zero, one)


def per_candidate(effects: FloatArray) -> FloatArray:
    """Common part added to every contrast: (..., K + 1) to (..., K)."""
    total: FloatArray = effects[..., :1] + effects[..., 1:]
    return total


def add_effects(graph: GraphBuilder, effects: str, level: FloatArray) -> str:
    """Level, common part and contrast added up: (batch, K + 1) to (batch, K)."""
    return affine(graph, effects, per_candidate(np.eye(len(level) + 1)), level)


def expand_levels(graph: GraphBuilder, features: FeatureTensors, level: FloatArray) -> str:
    """The same K numbers for every row, shape (batch, K)."""
    batch = graph.op("Gather", graph.op("Shape", features.lexical), graph.constant(np.array([0])))
    shape = graph.op("Concat", batch, graph.constant(np.array([len(level)])), axis=0)
    return graph.op("Expand", graph.constant(level[None, :], np.float32), shape)


def affine(graph: GraphBuilder, x: str, coef: FloatArray, intercept: FloatArray) -> str:
    """``x @ coef + intercept``."""
    product = graph.op("MatMul", x, graph.constant(coef, np.float32))
    return graph.op("Add", product, graph.constant(intercept, np.float32))


def standard_scores(
    graph: GraphBuilder, features: FeatureTensors, mean: FloatArray, scale: FloatArray
) -> str:
    """Lexical columns standardised and clipped to three deviations."""
    centred = graph.op("Sub", features.lexical, graph.constant(mean, np.float32))
    z = graph.op("Div", centred, graph.constant(scale, np.float32))
    low, high = graph.constant(np.float32(-3.0)), graph.constant(np.float32(3.0))
    return graph.op("Clip", z, low, high)
