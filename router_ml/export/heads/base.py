"""Dispatch from an estimator to the function that writes it into the graph."""

from __future__ import annotations

from functools import singledispatch

from router_ml.errors import ExportError
from router_ml.estimators.base import Estimator
from router_ml.export.graph import FeatureTensors, GraphBuilder


@singledispatch
def add_head(estimator: Estimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    """Add a fitted estimator's prediction to the graph.

    Returns
    -------
    str
        Name of a float32 tensor of shape (batch, K), the same numbers as ``estimator.predict`` for
        the candidates it was fitted on, in that order.

    Raises
    ------
    ExportError
        If no head is registered for this class.
    """
    raise ExportError(
        f"{type(estimator).__name__} has no ONNX head; add router_ml/export/heads/"
        f"{estimator.name}.py and register it with add_head"
    )
