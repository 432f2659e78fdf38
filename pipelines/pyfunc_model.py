"""The MLflow flavour, as models-from-code: MLflow runs this file, no pickle is stored.

Scores a frame with a ``query`` column (and optionally ``tools``, JSON or objects) through the same
runtime as the service.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from router_ml.features.query import parse_query
from router_ml.runtime.runtime import Runtime


class RouterModel(PythonModel):  # MLflow's base class is untyped
    """Routes every row of a frame."""

    def load_context(self, context: Any) -> None:
        """Load and verify the bundle that was logged with the model."""
        self.runtime = Runtime.from_folder(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One decision a row: ``candidate``, ``propensity``, ``quality``, ``cost_usd``."""
        tools = model_input["tools"] if "tools" in model_input else [None] * len(model_input)
        rows = []
        for text, tool in zip(model_input["query"], tools, strict=True):
            offered = json.loads(tool) if isinstance(tool, str) and tool else tool
            decision = self.runtime.decide(parse_query(text, offered))
            chosen = next(r for r in decision.ranking if r.candidate == decision.candidate)
            rows.append(
                {
                    "candidate": decision.candidate,
                    "propensity": decision.propensity,
                    "quality": chosen.quality,
                    "cost_usd": chosen.cost_usd,
                }
            )
        return pd.DataFrame(rows)


set_model(RouterModel())
