"""Queries with the values that a bundle's graph gave for them when it was exported.

A bundle whose bytes are as they were may still score wrongly: another version of ONNX Runtime,
another processor, a graph that was wrong from the start. ``probes.json`` lets whoever loads it see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_ml.errors import BundleError
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import PARTS, Predictions

PROBES: Final = "probes.json"
_FIELDS: Final = ("ask", "prior", "tools", "history_chars", "n_turns")


@dataclass(frozen=True, slots=True)
class Probes:
    """Queries, and of each output of the graph an array of shape (n_queries, K)."""

    queries: tuple[Query, ...]
    expected: Mapping[str, FloatArray]

    @classmethod
    def of(cls, queries: tuple[Query, ...], predictions: Predictions) -> Probes:
        """What was predicted, as what is expected."""
        return cls(queries, {name: np.asarray(getattr(predictions, name)) for name in PARTS})

    def to_json(self) -> bytes:
        """As ``probes.json`` holds them."""
        rows = [{name: getattr(query, name) for name in _FIELDS} for query in self.queries]
        values = {name: np.round(array, 7).tolist() for name, array in self.expected.items()}
        return json.dumps({"queries": rows, "expected": values}, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Probes:
        """Read ``probes.json``.

        Raises
        ------
        BundleError
            If it is not of that form.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            queries = tuple(
                Query(**{**row, "tools": tuple(row["tools"])}) for row in content["queries"]
            )
            expected = {name: np.array(content["expected"][name], float) for name in PARTS}
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{PROBES} must hold queries and expected: {error!r}") from error
        wrong = [name for name, array in expected.items() if array.shape[:1] != (len(queries),)]
        if wrong:
            raise BundleError(f"{PROBES} must have one row a query, not so in {', '.join(wrong)}")
        return cls(queries, expected)
