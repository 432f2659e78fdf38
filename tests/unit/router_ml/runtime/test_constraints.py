"""Constraints of a first decision, and of one where turns were spent already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from router_ml.errors import InvalidRequestError
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.spent import NOTHING, Spent
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

TABLE = replace(
    CandidateTable.from_prices({"a": (1.0, 1.0), "b": (2.0, 2.0), "c": (4.0, 4.0)}),
    context_window=np.array([200, 0, 0]),
)
POSITIONS = {name: k for k, name in enumerate(TABLE.names)}
TOKENS = np.full((1, 3), 100.0)
PREDICTIONS = Predictions(
    np.array([[0.5, 0.7, 0.9]]), TOKENS, TOKENS, np.array([[100.0, 200.0, 300.0]])
)
COST = TABLE.cost_usd(TOKENS, TOKENS)


def eligible(spent: Spent = NOTHING, **limits: Any) -> str:
    row = Constraints(**limits).eligible(POSITIONS, TABLE, PREDICTIONS, COST, spent)[0]
    return "".join(name for name, able in zip(TABLE.names, row, strict=True) if able)


def test_each_limit() -> None:
    assert eligible() == "abc"
    assert eligible(candidates=("c", "a")) == "ac"
    assert eligible(max_output_tokens=150) == "bc"
    assert eligible(max_cost_usd=0.0005) == "ab"
    assert eligible(max_latency_ms=250.0) == "ab"
    assert eligible(min_quality=0.6) == "bc"
    assert eligible(min_quality=0.95) == "c"


def test_what_was_spent_counts() -> None:
    assert eligible(Spent(asked=(1,))) == "ac"
    assert eligible(Spent(cost_usd=0.0003), max_cost_usd=0.0005) == "a"
    assert eligible(Spent(latency_ms=100.0), max_latency_ms=350.0) == "ab"
    assert eligible(Spent(asked=(2,)), min_quality=0.95) == "b"


@pytest.mark.parametrize(
    ("spent", "limits", "says"),
    [
        (Spent(), {"max_cost_usd": 1e-9}, "max_cost_usd=1e-09: the lowest"),
        (Spent(cost_usd=1.0), {"max_cost_usd": 0.5}, "lowest prediction .* is 1.0002"),
        (Spent(), {"max_latency_ms": 1.0}, "max_latency_ms"),
        (Spent(asked=(0, 1, 2)), {}, "every candidate .* was asked"),
        (Spent(asked=(1,)), {"candidates": ("b",)}, "every candidate .* was asked"),
        (Spent(), {"candidates": ("a",), "max_output_tokens": 150}, "context window"),
        (Spent(), {"candidates": ("d",)}, "unknown candidates"),
    ],
)
def test_who_leaves_nobody_is_told_which_limit_did(
    spent: Spent, limits: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        eligible(spent, **limits)


def test_output_tokens_are_capped() -> None:
    assert Constraints().capped(PREDICTIONS) is PREDICTIONS
    capped = Constraints(max_output_tokens=7).capped(PREDICTIONS)
    assert capped.output_tokens.tolist() == [[7.0, 7.0, 7.0]]
    assert capped.input_tokens is PREDICTIONS.input_tokens


@pytest.mark.parametrize(
    "values",
    [
        3,
        {"budget": 1.0},
        {"max_cost_usd": "1"},
        {"min_quality": True},
        {"candidates": "abc"},
        {"candidates": [1]},
        {"candidates": []},
        {"cost_weight": -1.0},
    ],
)
def test_json_that_is_no_constraints_is_refused(values: Any) -> None:
    with pytest.raises(InvalidRequestError):
        Constraints.from_dict(values)


def test_json_is_read() -> None:
    read = Constraints.from_dict({"candidates": ["a"], "min_quality": 1, "max_cost_usd": None})
    assert read == Constraints(candidates=("a",), min_quality=1)
