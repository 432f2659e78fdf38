"""Methods of the quality benchmark: estimators, rivals, and the blend without each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipelines.benchmarks.baselines import BASELINES
from router_ml.estimators.specs import Spec
from router_ml.estimators.stacked import DEFAULT_MEMBERS

FAST: Final = "fast"
UNWEIGHTED: Final = "fast, propensities ignored"
ESTIMATORS: Final[Mapping[str, Spec]] = {
    "constant": {"name": "constant"},
    **BASELINES,
    "linear": {"name": "linear"},
    "knn": {"name": "knn"},
    "token_weights": {"name": "token_weights"},
    "low_rank": {"name": "low_rank"},
    "deep_averaging": {"name": "deep_averaging"},
    "lightgbm": {"name": "lightgbm"},
    "extra_trees": {"name": "extra_trees"},
    FAST: {"name": "stacked"},
}
"""Methods that are an estimator, by name; ``fast`` is what ships."""
ABLATION: Final[Mapping[str, Mapping[str, Any]]] = {
    **{
        f"fast without {left_out}": {
            "name": "stacked",
            "members": {name: spec for name, spec in DEFAULT_MEMBERS.items() if name != left_out},
        }
        for left_out in DEFAULT_MEMBERS
    },
    "distilled": {"name": "distilled", "student": {"name": "deep_averaging"}},
}
"""What every member is worth: the blend without it; and what one student keeps of the blend."""
