"""The router as an MLflow model, from code: MLflow runs this file to build what it serves.

Columns in: ``query``; where there are any, ``tools`` and ``constraints``, both JSON, the latter an
object of :class:`router_ml.runtime.constraints.Constraints`. Columns out: one decision a row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from router_ml.features.query import parse_query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import NO_CONSTRAINTS, Runtime

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
        given = {
            name: model_input[name] if name in model_input else [None] * len(model_input)
            for name in ("query", "tools", "constraints")
        }
        rows = []
        for text, tools, limits in zip(*given.values(), strict=True):
            constraints = _json(limits)
            decision = self.runtime.decide(
                parse_query(text, _json(tools)),
                NO_CONSTRAINTS if constraints is None else Constraints.from_dict(constraints),
            )
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


def _json(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) and text else None


set_model(RouterModel())
