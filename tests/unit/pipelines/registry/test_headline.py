"""What a run is compared by."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.registry.headline import headline, headline_metrics


def cell(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 9}


def point(quality: float, cost: float) -> dict[str, Any]:
    return {"quality": cell(quality), "cost_usd": cell(cost)}


SUMMARY: dict[str, Any] = {
    "policies": {
        "router": {"quality_dr": cell(0.8), "cost_usd_dr": cell(2.0)},
        "today": {"quality_dr": cell(0.7), "cost_usd_dr": cell(3.0)},
    },
    "hull_gain": cell(0.05),
    "points": {"router": [point(0.6, 1.0), point(0.9, 4.0), point(0.5, 5.0)]},
}


def test_quality_at_todays_cost_lies_between_operating_points() -> None:
    found = headline(SUMMARY)
    assert found["quality_at_todays_cost"]["value"] == pytest.approx(0.85)
    assert found["hull_gain"]["low"] == pytest.approx(-0.05)
    dear = {**SUMMARY, "policies": {**SUMMARY["policies"], "today": point(0.7, 9.0)}}
    assert headline(dear)["quality_at_todays_cost"]["value"] == pytest.approx(0.9)


def test_what_the_evaluation_does_not_tell_is_left_out() -> None:
    cheap = {**SUMMARY, "policies": {**SUMMARY["policies"], "today": point(0.7, 0.5)}}
    assert "quality_at_todays_cost" not in headline(cheap)
    assert headline({"policies": {}}) == {}
    assert headline_metrics({"kind": "log", "hull_gain": None, "policies": {}}) == {}
