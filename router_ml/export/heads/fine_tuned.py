"""Fine-tuned encoder: its own model, spliced in behind the token ids."""

from __future__ import annotations

import onnx

from router_ml.estimators.fine_tuned import FineTunedEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.inputs import add_input


@add_head.register
def _(estimator: FineTunedEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    model = onnx.load_from_string(estimator.onnx_.tobytes())
    return graph.add_model(model, {"input_ids": add_input(graph, "input_ids")}, "quality")
