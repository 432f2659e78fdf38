from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.join.sources.prices import check_windows, price_rows
from router_ml.errors import SchemaError

MAP = {
    "good": {
        "input_cost_per_token": 8e-07,
        "output_cost_per_token": 2.4e-06,
        "max_input_tokens": 100_000,
        "max_output_tokens": "see the docs",
        "litellm_provider": "anthropic",
        "supports_vision": True,
    },
    "image": {"mode": "image_generation", "output_cost_per_image": 0.04},
    "odd": {"input_cost_per_token": "cheap", "output_cost_per_token": 1e-6},
    "none": None,
}


def write_csv(folder: Path, *rows: str) -> Path:
    path = folder / "prices.csv"
    header = "candidate,valid_from,valid_to,input_usd_per_mtok,output_usd_per_mtok"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_a_price_map_becomes_dollars_per_million(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_bytes(orjson.dumps(MAP))
    good, image, odd, none = price_rows(tmp_path / "prices.json")
    assert (good["input_usd_per_mtok"], good["output_usd_per_mtok"]) == (0.8, 2.4)
    assert (good["context_window"], good["max_output_tokens"]) == (100_000, None)
    assert (good["provider"], good["capabilities"]) == ("anthropic", ["vision"])
    assert image["exclusion"] == "not_priced_by_token"
    assert odd["problem"] == "unreadable_price"
    assert none["problem"] == "malformed_price"


def test_a_price_map_tells_capabilities_and_labels(tmp_path: Path) -> None:
    entry = {
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 1e-6,
        "supports_audio_input": True,
        "supports_pdf_input": True,
        "supports_vision": False,
        "supports_function_calling": "yes",
        "supported_regions": ["eu", "us", 7],
        "data_retention": "none",
    }
    path = tmp_path / "prices.json"
    path.write_bytes(orjson.dumps({"a": entry}))
    (row,) = price_rows(path)
    assert row["capabilities"] == [
        "audio", "documents", "region:eu", "region:us", "retention:none",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        ("a,,2026-03-01,1,2", "a,2026-02-01,,1,3"),
        ("a,,,1,2", "a,,,1,3"),
        ("a,2026-01-01,2026-12-01,1,2", "b,,,1,1", "a,2026-02-01,2026-03-01,2,2"),
    ],
)
def test_overlapping_windows_are_refused_by_place(tmp_path: Path, rows: tuple[str, ...]) -> None:
    path = write_csv(tmp_path, *rows)
    with pytest.raises(SchemaError, match=r"windows of a overlap: .*prices.csv:2 .*end the first"):
        check_windows(list(price_rows(path)))


def test_windows_that_meet_or_repeat_are_fine(tmp_path: Path) -> None:
    rows = ("a,,2026-03-01,1,2", "a,2026-03-01,,1,3", "a,2026-03-01,,1,3", "b,,,1,1")
    check_windows(list(price_rows(write_csv(tmp_path, *rows))))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.parquet"
    pq.write_table(pa.table({"candidate": ["a"], "input_usd_per_mtok": [1.0]}), path)
    with pytest.raises(
        SchemaError, match=r"prices.parquet .*: prices need the column output_usd_per_mtok"
    ):
        list(price_rows(path))


def test_what_is_no_price_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("[1", encoding="utf-8")
    with pytest.raises(SchemaError, match="is not JSON"):
        list(price_rows(tmp_path / "prices.json"))
