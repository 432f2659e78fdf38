"""Values of routers with different candidates, in one order of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions


def action_probs(runtime: Runtime, predictions: Predictions, names: Sequence[str]) -> FloatArray:
    """Probabilities of a runtime's policy, in the columns of ``names``, shape (n, len(names))."""
    return in_columns(runtime.policy.action_probs(predictions, runtime.candidates), runtime, names)


def in_columns(values: FloatArray, runtime: Runtime, names: Sequence[str]) -> FloatArray:
    """A router's values (n, K) in the columns of ``names``; 0 for candidates that it lacks."""
    wide = np.zeros((len(values), len(names)))
    wide[:, [names.index(name) for name in runtime.candidates.names]] = values
    return wide


def union(*lists: Sequence[str]) -> tuple[str, ...]:
    """Names of all lists, each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(name for names in lists for name in names))
