"""Pieces of a page: numbers, and where dots go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from pipelines.report.page import points, segment_rows, tone, write_page


def row(value: float, low: float, high: float, kind: str = "task") -> dict[str, Any]:
    difference = {"value": value, "low": low, "high": high, "n": 10}
    return {"kind": kind, "name": "a", "difference": difference}


def test_dots_lie_where_the_numbers_are() -> None:
    kinds, scale = segment_rows([row(0.0, -0.1, 0.1), row(0.05, 0.0, 0.1), row(-0.1, -0.1, 0.0)])
    assert scale == pytest.approx(10.0)
    ((kind, rows),) = kinds
    assert kind == "task"
    assert [r["at"] for r in rows] == ["50.0", "75.0", "0.0"]
    assert (rows[0]["left"], rows[0]["width"]) == ("0.0", "100.0")
    assert segment_rows([]) == ([], 5.0)


def test_a_difference_is_coloured_only_where_its_interval_is_on_one_side() -> None:
    assert [tone(0.1, 0.2), tone(-0.2, -0.1), tone(-0.1, 0.1)] == ["good", "bad", ""]
    assert points({"value": -0.05, "low": -0.1, "high": 0.0}) == "-5.0 [-10.0, +0.0]"


def test_a_missing_fact_is_an_error_not_a_gap(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        write_page(tmp_path / "x.html", "diff", {"title": "x"})
