from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.join.cost_check import power_off
from pipelines.stages.join import run
from router_ml.errors import JoinError
from tests.dirty_log import request

PRICES = {"small": (1.0, 4.0), "medium": (2.0, 8.0), "large": (10.0, 40.0)}


def join(folder: Path, scale: float, *, price_scale: float = 1.0, **changes: Any) -> dict[str, Any]:
    """Join a log whose costs are ``scale`` times what prices say; returns the report."""
    rows = []
    for i in range(30):
        row = request(i)
        usd_in, usd_out = PRICES[row["model"]]
        cost = (row["prompt_tokens"] * usd_in + row["completion_tokens"] * usd_out) / 1e6
        rows.append({**row, "response_cost": cost * scale})
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines = ["candidate,input_usd_per_mtok,output_usd_per_mtok"]
    lines += [f"{name},{a * price_scale},{b * price_scale}" for name, (a, b) in PRICES.items()]
    (folder / "prices.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {"requests": folder / "log.jsonl", "prices": folder / "prices.csv"}
    run(load_config(JoinConfig, overrides={**values, "output": folder / "out", **changes}))
    report: dict[str, Any] = json.loads((folder / "out/report.json").read_text(encoding="utf-8"))
    return report


@pytest.mark.parametrize(
    ("scale", "price_scale", "says"),
    [
        (1.0, 1e-3, "price_unit: ktok"),
        (1.0, 1e-6, "price_unit: token"),
        (100.0, 1.0, "cost_unit: cents"),
        (10.0, 1.0, "a price is a tenth"),
        (0.01, 1.0, "prices are in cents"),
    ],
)
def test_a_power_of_ten_stops_the_join_with_what_it_probably_is(
    tmp_path: Path, scale: float, price_scale: float, says: str
) -> None:
    with pytest.raises(JoinError, match=says) as caught:
        join(tmp_path, scale, price_scale=price_scale)
    assert "small (" in str(caught.value)
    assert not (tmp_path / "out/outcomes.parquet").exists()


def test_the_setting_that_is_named_mends_it(tmp_path: Path) -> None:
    for number, (scale, price_scale, setting) in enumerate(
        [(1.0, 1e-3, {"price_unit": "ktok"}), (100.0, 1.0, {"cost_unit": "cents"})]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = join(folder, scale, price_scale=price_scale, **setting)
        assert [row["ratio"] for row in report["cost_check"]] == pytest.approx([1.0] * 3)
        assert report["costs"][0]["mean_usd"] < 0.01


def test_what_is_right_can_be_said_to_be(tmp_path: Path) -> None:
    report = join(tmp_path, 1e3, check_costs="report")
    assert [round(row["ratio"]) for row in report["cost_check"]] == [1_000] * 3


@pytest.mark.parametrize(
    ("ratio", "spread", "requests", "power"),
    [
        (1.0, 0.1, 90, 0),
        (1.9, 0.1, 90, 0),
        (10.0, 1.5, 90, 0),
        (1e3, 0.1, 2, 0),
        (1e-3, 0.1, 9, -3),
    ],
)
def test_discounts_and_noise_are_no_mistakes_of_units(
    ratio: float, spread: float, requests: int, power: int
) -> None:
    assert power_off(ratio, spread, requests) == power
