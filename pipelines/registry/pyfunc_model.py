"""The router as an MLflow model, from code: MLflow runs this file to build what it serves.

Columns in: ``query``, and ``tools`` (JSON) where there are any. Columns out: one decision a row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from router_ml.features.query import parse_query
from router_ml.runtime.runtime import Runtime

OUTPUTS = ["candidate", "propensity", "quality", "cost_usd", "latency_ms"]


class RouterModel(PythonModel):
    """Scores through :class:`router_ml.runtime.runtime.Runtime`, as the service does."""

    def load_context(self, context: Any) -> None:
        """Verify and load the bundle among the model's artifacts."""
        self.runtime = Runtime.from_folder(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Decide every row; ``quality``, ``cost_usd`` and ``latency_ms`` are predictions."""
        texts = model_input["query"]
        tools = model_input["tools"] if "tools" in model_input else [None] * len(texts)
        rows = []
        for text, tool in zip(texts, tools, strict=True):
            offered = orjson.loads(tool) if isinstance(tool, str) and tool else None
            decision = self.runtime.decide(parse_query(text, offered))
            line = next(x for x in decision.ranking if x.candidate == decision.candidate)
            rows.append(
                {
                    "candidate": decision.candidate,
                    "propensity": decision.propensity,
                    "quality": line.quality,
                    "cost_usd": line.cost_usd,
                    "latency_ms": line.latency_ms,
                }
            )
        return pd.DataFrame(rows, columns=OUTPUTS)


set_model(RouterModel())
