"""Calibrators: a logistic curve of two logarithms, or lines between knots."""

from __future__ import annotations

import numpy as np

from router_ml.estimators.calibration import EPSILON, BetaCalibrator, Calibrator
from router_ml.export.graph import GraphBuilder


def add_calibration(graph: GraphBuilder, tensor: str, calibrator: Calibrator) -> str:
    """Add ``calibrator`` after ``tensor``, float32 of shape (batch, K); the shape stays."""
    if isinstance(calibrator, BetaCalibrator):
        return _beta(graph, tensor, calibrator)
    return _lines(graph, tensor, calibrator.knots)


def _beta(graph: GraphBuilder, tensor: str, calibrator: BetaCalibrator) -> str:
    a, b, d = (graph.constant(np.float32(value)) for value in calibrator.coef)
    low, high = graph.constant(np.float32(EPSILON)), graph.constant(np.float32(1.0 - EPSILON))
    p = graph.op("Clip", tensor, low, high)
    right = graph.op("Log", graph.op("Sub", graph.constant(np.float32(1.0)), p))
    eta = graph.op("Sub", graph.op("Mul", graph.op("Log", p), a), graph.op("Mul", right, b))
    return graph.op("Sigmoid", graph.op("Add", eta, d))


def _lines(graph: GraphBuilder, tensor: str, knots: np.ndarray) -> str:
    # f(x) = y_0 + sum_j s_j * clip(x - x_j, 0, x_{j+1} - x_j), s_j the slope of piece j.
    x, y = knots
    if len(x) == 1:
        zero = graph.op("Mul", tensor, graph.constant(np.float32(0.0)))
        return graph.op("Add", zero, graph.constant(np.float32(y[0])))
    last = graph.constant(np.array([-1], dtype=np.int64))
    wide = graph.op("Unsqueeze", tensor, last)
    inside = graph.op("Relu", graph.op("Sub", wide, graph.constant(x[:-1], np.float32)))
    inside = graph.op("Min", inside, graph.constant(np.diff(x), np.float32))
    slopes = graph.constant((np.diff(y) / np.diff(x))[:, None], np.float32)
    rise = graph.op("Squeeze", graph.op("MatMul", inside, slopes), last)
    return graph.op("Add", rise, graph.constant(np.float32(y[0])))
