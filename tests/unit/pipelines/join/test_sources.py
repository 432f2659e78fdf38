"""Rows as they are exported: numbers, names and times, what is wrong in them and what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router_ml.errors import SchemaError
from tests.dirty_log import request
from tests.small_join import LABEL, PRICES, joined, rejected


@pytest.mark.parametrize("odd", ["NaN", "inf", "-inf"])
def test_what_is_no_number_is_out_of_every_range(tmp_path: Path, odd: str) -> None:
    rows = [
        request(0, response_cost=odd),
        request(1, response_time=odd),
        request(2, metadata={"router": {"propensity": odd}}),
        *(request(i) for i in range(3, 8)),
    ]
    labels = [
        {**LABEL, "request_id": "req-00003", "value": odd},
        {**LABEL, "request_id": "req-00004", "weight": odd},
        {**LABEL, "request_id": "req-00005"},
    ]
    report, found = joined(tmp_path, rows, labels=labels)
    expected = {"invalid_cost": 1, "invalid_latency": 1, "invalid_propensity": 1}
    assert rejected(report) == expected
    assert rejected(report, "labels") == {"value_out_of_range": 1, "invalid_weight": 1}
    assert len(found) == 5


def test_nan_in_canonical_parquet_and_in_prices_is_out_of_range(tmp_path: Path) -> None:
    report, _ = joined(tmp_path, [request(i) for i in range(4)])
    table = pq.read_table(tmp_path / "joined/outcomes.parquet").drop_columns(["cost_usd"])
    costs = pa.array([0.1, float("nan"), 0.1, 0.1])
    pq.write_table(table.append_column("cost_usd", costs), tmp_path / "canonical.parquet")
    prices = {**PRICES, "odd": {"input_cost_per_token": "nan", "output_cost_per_token": 1e-6}}
    canonical = str(tmp_path / "canonical.parquet")
    report, _ = joined(tmp_path, [request(0)], requests=canonical, prices=prices)
    assert rejected(report) == {"invalid_cost": 1}
    assert rejected(report, "prices") == {"invalid_price": 1}


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_rejects_are_json_that_any_reader_takes(tmp_path: Path, odd: float) -> None:
    joined(tmp_path, [request(0, metadata={"router": {"action_probs": [0.5, 0.5]}}), request(1)])
    table = pq.read_table(tmp_path / "joined/outcomes.parquet")
    canonical = tmp_path / "canonical.parquet"
    for name, values in (("cost_usd", [odd, 0.1]), ("action_probs", [[odd, 0.5], None])):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values))
    pq.write_table(table, canonical)
    labels = [{**LABEL, "request_id": "req-00001", "value": str(odd)}]
    report, _ = joined(tmp_path, [request(0)], requests=str(canonical), labels=labels)
    assert rejected(report) == {"invalid_cost": 1}
    assert rejected(report, "labels") == {"value_out_of_range": 1}
    rows = pq.read_table(tmp_path / "joined/rejects.parquet").to_pylist()
    found = {row["source"]: orjson.loads(row["row"]) for row in rows}
    assert found["requests"]["cost_usd"] is None
    assert found["requests"]["action_probs"] == [None, 0.5]
    assert found["labels"]["value"] is None


def test_no_usage_is_no_free_answer(tmp_path: Path) -> None:
    rows = [
        request(0, prompt_tokens=0, completion_tokens=0),
        request(1, prompt_tokens=0),
        request(2, response_cost=0.0),
        request(3, response_cost=0.0, model="free", metadata={}),
        request(4),
    ]
    prices = {**PRICES, "free": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}}
    report, found = joined(tmp_path, rows, prices=prices)
    assert rejected(report) == {"missing_tokens": 2}
    assert report["repairs"] == {"zero_cost_priced": 1}
    assert found["req-00002"]["cost_source"] == "price"
    assert found["req-00002"]["cost_usd"] > 0.0
    assert (found["req-00003"]["cost_usd"], found["req-00003"]["cost_source"]) == (0.0, "logged")


def test_the_future_is_not_seen_unless_asked_for(tmp_path: Path) -> None:
    rows = [request(0, startTime="2099-01-01T00:00:00Z", endTime=None), request(1)]
    labels = [{**LABEL, "request_id": "req-00001", "time": "2098-01-06T00:00:00Z"}]
    report, _ = joined(tmp_path, rows, labels=labels)
    assert report["accounting"]["requests"]["excluded"] == {"after_as_of": 1}
    assert report["accounting"]["labels"]["excluded"] == {"after_as_of": 1}
    report, _ = joined(tmp_path, rows, labels=labels, as_of="2099-06-01")
    assert report["accounting"]["requests"]["excluded"] == {}


@pytest.mark.parametrize("hashed", [False, True])
def test_fractions_of_tokens_are_unreadable_in_every_format(tmp_path: Path, hashed: bool) -> None:
    columns: dict[str, Any] = {
        "request_id": ["a", "b", "c"],
        "time": pa.array([1_767_600_000_000_000] * 3, pa.timestamp("us")),
        "candidate_served": ["small"] * 3,
        "query": ["one", "two", "three"],
        "input_tokens": [10.4, 20.0, 30.0],
        "output_tokens": [1.0, 2.5, 3.0],
        "latency_ms": [1.0, 2.0, 3.0],
    }
    if hashed:
        columns |= {"query_id": ["1", "2", "3"], "group_id": ["1", "2", "3"]}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    report, found = joined(tmp_path, [], requests=str(tmp_path / "log.parquet"))
    assert rejected(report) == {"unreadable_input_tokens": 1, "unreadable_output_tokens": 1}
    assert found["c"]["input_tokens"] == 30


def test_long_numbers_are_names(tmp_path: Path) -> None:
    ids = [12345678901234567890123 + i for i in range(3)]
    labels = [{**LABEL, "request_id": str(ids[0])}, {**LABEL, "request_id": ids[1]}]
    rows = [request(i, id=number) for i, number in enumerate(ids)]
    report, found = joined(tmp_path, rows, labels=labels)
    assert list(found) == [str(number) for number in ids]
    assert report["accounting"]["labels"]["used"] == 2
    path = tmp_path / "array.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert list(joined(tmp_path, rows, requests=str(path))[1]) == list(found)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"response_cost": True}, "cost_usd"),
        ({"response_time": True}, "latency_ms"),
        ({"request_duration_ms": False}, "latency_ms"),
        ({"metadata": {"router": {"propensity": True}}}, "propensity"),
        ({"metadata": {"router": {"action_probs": [True, False]}}}, "action_probs"),
        ({"prompt_tokens": True}, "input_tokens"),
        ({"startTime": True}, "time"),
    ],
)
def test_true_is_no_number(tmp_path: Path, changes: dict[str, Any], column: str) -> None:
    report, _ = joined(tmp_path, [request(0, **changes), request(1)])
    assert rejected(report) == {f"unreadable_{column}": 1}


def test_true_is_no_price_and_no_weight(tmp_path: Path) -> None:
    prices = {**PRICES, "odd": {"input_cost_per_token": True, "output_cost_per_token": 1e-6}}
    labels = [{**LABEL, "request_id": "req-00000", "weight": True}]
    report, _ = joined(tmp_path, [request(0)], prices=prices, labels=labels)
    assert rejected(report, "prices") == {"unreadable_price": 1}
    assert rejected(report, "labels") == {"unreadable_weight": 1}


def test_signs_of_patterns_in_names_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "runs[1]"
    folder.mkdir()
    path = folder / "log[1].jsonl"
    path.write_text("\n".join(json.dumps(request(i)) for i in range(3)), encoding="utf-8")
    _, found = joined(folder, [], requests=str(path))
    assert len(found) == 3
    canonical = folder / "what?[x].parquet"
    canonical.write_bytes((folder / "joined/outcomes.parquet").read_bytes())
    _, found = joined(folder, [], requests=str(canonical))
    assert len(found) == 3
    with pytest.raises(SchemaError, match=r"no file .*\[...\] are read as a pattern"):
        joined(folder, [], requests=str(folder / "log[2].jsonl"))
