"""Whether a loaded bundle scores: finite, in range, and as it did when it was exported."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.bundle.files import Bundle
from router_ml.errors import BundleError
from router_ml.features.query import Query
from router_ml.runtime.probes import PROBES, Probes
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import PARTS, Predictions

PROBE_QUERIES: Final = (
    Query("What is 2 + 2?", history_chars=14),
    Query("x", history_chars=1),
    Query("Write code that sorts a list.", prior="Hello", history_chars=90, n_turns=2),
    Query("Wie wird das Wetter in Köln? 今天天气怎么样？", history_chars=41),
    Query("word " * 700, history_chars=3_500),
    Query(
        "Mix blue and yellow paint.",
        tools=(
            {
                "name": "mix_paint",
                "description": "Mix two colours.",
                "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
        ),
        history_chars=26,
    ),
    Query("def f(x):\n    return x ** 2 if x > 0 else -x\n" * 20, history_chars=900),
    Query("{}[]<>;|&%$#@!~`^*()_+-=" * 10, history_chars=240),
)
"""Asked of every bundle; what it gave for them at export stands in its ``probes.json``."""

_SLACK: Final = 1e-3
_TOLERANCE: Final = {"quality": (0.05, 0.0)}
_OTHERS: Final = (1.0, 0.1)
"""Absolute and relative: another processor rounds differently, and a tree goes another way."""
_SHARE: Final = 0.95
"""Of the values that must be within it."""


def check_runtime(runtime: Runtime, bundle: Bundle) -> None:
    """Score the probe queries, together and one alone.

    Raises
    ------
    BundleError
        If a value is not finite or not in its range, or too many are not those of the export.
    ScorerUnavailableError
        If the graph fails.
    """
    _check_values(runtime.predict(PROBE_QUERIES), len(PROBE_QUERIES), runtime)
    _check_values(runtime.predict_one(PROBE_QUERIES[0]), 1, runtime)
    if PROBES not in bundle.files:
        return
    probes = Probes.from_json(bundle.files[PROBES])
    predictions = runtime.predict(probes.queries)
    _check_values(predictions, len(probes.queries), runtime)
    for name in PARTS:
        _check_expected(name, getattr(predictions, name), probes.expected[name])


def _check_values(predictions: Predictions, n: int, runtime: Runtime) -> None:
    shape = (n, len(runtime.candidates))
    for name in PARTS:
        values: FloatArray = getattr(predictions, name)
        if values.shape != shape:
            raise BundleError(
                f"the graph's {name} must have shape {shape}, got {values.shape}: export it again"
            )
        high = 1.0 if name == "quality" else np.inf
        wrong = ~(np.isfinite(values) & (values >= -_SLACK) & (values <= high + _SLACK))
        if wrong.any():
            row, k = np.argwhere(wrong)[0]
            raise BundleError(
                f"the graph's {name} must be finite and in [0, {high:g}], got {values[row, k]} for "
                f"{runtime.candidates.names[k]} on probe query {row}: train and export it again"
            )


def _check_expected(name: str, values: FloatArray, expected: FloatArray) -> None:
    if expected.shape != values.shape:
        raise BundleError(f"{PROBES} has {name} of shape {expected.shape}, expected {values.shape}")
    absolute, relative = _TOLERANCE.get(name, _OTHERS)
    share = float(np.isclose(values, expected, rtol=relative, atol=absolute).mean())
    if not share >= _SHARE:
        raise BundleError(
            f"the graph's {name} is as at the export for {share:.0%} of the probes' values, "
            f"expected {_SHARE:.0%}: this machine or ONNX Runtime computes something else; "
            "export it again"
        )
