"""Logs as they are exported: each kind of fault with its siblings, and what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import SchemaError
from tests.dirty_log import request

PRICES: dict[str, dict[str, Any]] = {
    name: {"input_cost_per_token": 1e-6 * k, "output_cost_per_token": 4e-6 * k}
    for k, name in ((1, "small"), (2, "medium"), (10, "large"))
}
LABEL = {"name": "q", "value": 1, "source": "human", "time": "2026-03-02T00:00:00Z"}


def joined(
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    labels: list[dict[str, Any]] | None = None,
    prices: dict[str, Any] | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Accounts and outcomes by id of a small log."""
    (folder / "log.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (folder / "prices.json").write_text(json.dumps(prices or PRICES), encoding="utf-8")
    values: dict[str, Any] = {
        "requests": str(folder / "log.jsonl"),
        "prices": str(folder / "prices.json"),
        "output": folder / "joined",
        "tolerance": 1.0,
    }
    if labels is not None:
        text = "\n".join(json.dumps(label) for label in labels)
        (folder / "labels.jsonl").write_text(text, encoding="utf-8")
        values["labels"] = str(folder / "labels.jsonl")
    return outcomes(run(load_config(JoinConfig, overrides={**values, **changes})))


def outcomes(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = read_outcomes(folder).to_dict("records")  # type: ignore[assignment]
    return report, {row["request_id"]: row for row in rows}


def rejected(report: dict[str, Any], source: str = "requests") -> dict[str, int]:
    found: dict[str, int] = report["accounting"][source]["rejected"]
    return found


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    "text", ["redacted-by-litellm", "[REDACTED]", "<redacted>", "__REDACTED__", "***", "[Filtered]"]
)
def test_a_placeholder_is_no_prompt(tmp_path: Path, text: str) -> None:
    rows = [request(0, messages=said(text)), request(1, messages=text), request(2)]
    report, found = joined(tmp_path, rows)
    assert rejected(report) == {"redacted_text": 2}
    assert list(found) == ["req-00002"]


def test_a_question_about_redaction_is_a_prompt(tmp_path: Path) -> None:
    report, _ = joined(tmp_path, [request(0, messages=said("Why was this redacted?"))])
    assert rejected(report) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Check this. ... (litellm_truncated skipped 41234 chars. Full, untruncated) ... thanks",
        "A long text [truncated]",
        '[{"role": "user", "content": "cut in the midd',
    ],
)
def test_text_that_was_cut_is_rejected(tmp_path: Path, text: str) -> None:
    hidden = {"messages": said(text)} if not text.startswith("[{") else {"messages": text}
    report, _ = joined(tmp_path, [request(0, **hidden), request(1)])
    assert rejected(report) == {"truncated_text": 1}


def test_a_cut_answer_in_the_history_does_no_harm(tmp_path: Path) -> None:
    history = [
        {"role": "assistant", "content": "litellm_truncated skipped 9 chars"},
        *said("And now?"),
    ]
    report, _ = joined(tmp_path, [request(0, messages=history)])
    assert rejected(report) == {}


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


@pytest.mark.parametrize("other", ["small", "large"])
def test_the_attempt_that_succeeded_counts(tmp_path: Path, other: str) -> None:
    failed = request(0, id="r", model=other, status="failure", prompt_tokens=0, completion_tokens=0)
    good = request(0, id="r", model="small", startTime=request(1)["startTime"])
    label = {**LABEL, "request_id": "r"}
    report, found = joined(tmp_path, [failed, failed, good], labels=[label])
    assert report["accounting"]["requests"]["collapsed"] == {"failed_attempt": 2}
    assert (found["r"]["status"], found["r"]["quality"]) == ("success", 1.0)
    assert report["accounting"]["labels"]["used"] == 1


def test_a_stream_s_row_without_usage_gives_way_to_the_full_one(tmp_path: Path) -> None:
    rows = [
        request(0, id="r", prompt_tokens=0, completion_tokens=0),
        request(0, id="r", completion_tokens=3),
        request(0, id="r", completion_tokens=30),
    ]
    report, found = joined(tmp_path, rows)
    assert report["accounting"]["requests"]["collapsed"] == {"duplicate": 1, "incomplete": 1}
    assert found["r"]["output_tokens"] == 30


def test_an_id_that_only_failed_counts_as_failed(tmp_path: Path) -> None:
    report, found = joined(tmp_path, [request(0, id="r", status="failure")] * 2)
    assert report["accounting"]["requests"]["collapsed"] == {"duplicate": 1}
    assert found["r"]["quality"] == 0.0


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


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        ({"error_code": "401", "error_class": "AuthenticationError"}, "client"),
        ({"error_code": "429", "error_class": "BudgetExceededError"}, "client"),
        ({"error_code": "499", "error_class": ""}, "client"),
        ({"error_code": 400, "error_class": "litellm.ContextWindowExceededError"}, "client"),
        ({"error_message": "litellm.BadRequestError: no such parameter"}, "client"),
        ({"error_message": "Error code: 403 - forbidden"}, "client"),
        ({"error_message": "You exceeded your quota: insufficient_quota"}, "client"),
        ({"error_code": "429", "error_class": "RateLimitError"}, "candidate"),
        ({"error_code": "500", "error_class": "InternalServerError"}, "candidate"),
        ({"error_code": "408", "error_class": "Timeout"}, "candidate"),
        ({}, "candidate"),
    ],
)
def test_a_failure_counts_against_whose_fault_it_is(
    tmp_path: Path, error: dict[str, Any], whose: str
) -> None:
    rows = [request(0, status="failure", error_information=error), request(1)]
    report, found = joined(tmp_path, rows)
    excluded = report["accounting"]["requests"]["excluded"]
    if whose == "client":
        assert excluded == {"client_error": 1}
    else:
        assert excluded == {}
        assert found["req-00000"]["quality"] == 0.0


def test_the_responses_api_s_input_is_read(tmp_path: Path) -> None:
    steps = [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Oslo?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "3"},
    ]
    rows = [
        request(0, messages="Name three rivers"),
        request(1, messages=steps),
        request(2, messages={}, proxy_server_request={"input": "Name three rivers"}),
        request(3, messages='{"pasted": "JSON"}'),
        request(4, messages=[{"type": "message", "content": "who speaks?"}]),
    ]
    report, found = joined(tmp_path, rows)
    assert [row["query"] for row in found.values()] == [
        "Name three rivers", "Weather in Oslo?", "Name three rivers", '{"pasted": "JSON"}'
    ]  # fmt: skip
    assert rejected(report) == {"malformed_messages": 1}


@pytest.mark.parametrize(
    "parameters",
    [
        {"functions": [{"name": "w", "description": "Weather"}]},
        {"tools": [], "functions": [{"name": "w", "description": "Weather"}]},
        {"tools": [{"functionDeclarations": [{"name": "w", "description": "Weather"}]}]},
        {"tools": [{"type": "function", "name": "w", "description": "Weather"}]},
    ],
)
def test_tools_have_older_and_other_names(tmp_path: Path, parameters: dict[str, Any]) -> None:
    _, found = joined(tmp_path, [request(0, model_parameters=parameters)])
    (tool,) = json.loads(found["req-00000"]["tools"])
    assert (tool["name"], tool["description"]) == ("w", "Weather")


def test_long_prompts_cost_their_tier(tmp_path: Path) -> None:
    tiers = {
        **PRICES["small"],
        "cache_read_input_token_cost": 1e-7,
        "input_cost_per_token_above_200k_tokens": 2e-6,
        "output_cost_per_token_above_200k_tokens": 8e-6,
        "cache_read_input_token_cost_above_200k_tokens": 2e-7,
        "input_cost_per_token_batches": 5e-7,
    }
    usage = {"usage_object": {"cache_read_input_tokens": 100_000}}
    tokens = {"completion_tokens": 1_000, "model": "small"}
    rows = [
        request(0, prompt_tokens=200_000, **tokens),
        request(1, prompt_tokens=300_000, **tokens),
        request(2, prompt_tokens=300_000, metadata=usage, **tokens),
        request(3, prompt_tokens=1_000, model_parameters={"service_tier": "batch"}, **tokens),
        request(4, prompt_tokens=1_000, model_parameters={"service_tier": "default"}, **tokens),
    ]
    _, found = joined(tmp_path, rows, prices={"small": tiers})
    costs = [found[f"req-{i:05d}"]["cost_usd"] for i in range(5)]
    assert costs == pytest.approx([0.204, 0.608, 0.428, 0.0045, 0.005])


def test_the_ranges_of_tiered_pricing_are_tiers(tmp_path: Path) -> None:
    ranges = [
        {"range": [0, 32_000], "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6},
        {"range": [32_000, 1e6], "input_cost_per_token": 3e-6, "output_cost_per_token": 9e-6},
    ]
    prices = {"small": {**PRICES["small"], "tiered_pricing": ranges}}
    rows = [request(0, model="small", prompt_tokens=40_000, completion_tokens=1_000)]
    _, found = joined(tmp_path, rows, prices=prices)
    assert found["req-00000"]["cost_usd"] == pytest.approx(0.129)


def test_what_a_cache_read_or_took_has_its_price(tmp_path: Path) -> None:
    price = {
        **PRICES["small"],
        "cache_creation_input_token_cost": 1.25e-6,
        "cache_read_input_token_cost": 1e-7,
        "input_cost_per_audio_token": 1e-5,
    }
    usages: list[dict[str, Any]] = [
        {"cache_creation_input_tokens": 8_000, "cache_read_input_tokens": 1_000},
        {"cache_read_input_tokens": 9_000, "prompt_tokens_details": {"cached_tokens": 0}},
        {"input_tokens_details": {"cached_tokens": 9_000}},
        {"prompt_tokens_details": {"audio_tokens": 500}},
        {"cache_creation_input_tokens": 12_000},
    ]
    rows = [
        request(i, model="small", prompt_tokens=10_000, completion_tokens=10,
                metadata={"usage_object": usage})
        for i, usage in enumerate(usages)
    ]  # fmt: skip
    report, found = joined(tmp_path, rows, prices={"small": price})
    costs = [row["cost_usd"] for row in found.values()]
    assert costs == pytest.approx([0.01114, 0.00194, 0.00194, 0.01454])
    assert rejected(report) == {"cached_exceed_input_tokens": 1}


def test_a_price_list_that_is_fed_back_keeps_its_tiers(tmp_path: Path) -> None:
    prices = {"small": {**PRICES["small"], "input_cost_per_token_above_128k_tokens": 5e-6}}
    rows = [request(0, model="small", prompt_tokens=200_000, completion_tokens=1_000)]
    _, first = joined(tmp_path, rows, prices=prices)
    kept = tmp_path / "kept.parquet"
    kept.write_bytes((tmp_path / "joined/prices.parquet").read_bytes())
    values = {"requests": str(tmp_path / "log.jsonl"), "prices": str(kept)}
    again = run(load_config(JoinConfig, overrides={**values, "output": tmp_path / "again"}))
    assert outcomes(again)[1]["req-00000"]["cost_usd"] == first["req-00000"]["cost_usd"]
    assert first["req-00000"]["cost_usd"] == pytest.approx(1.004)


def test_half_a_price_matters_only_to_who_served(tmp_path: Path) -> None:
    one_sided = {"embedder": {"input_cost_per_token": 1e-7, "mode": "embedding"}}
    report, _ = joined(tmp_path, [request(0)], prices={**PRICES, **one_sided})
    assert report["accounting"]["prices"]["excluded"] == {"not_used": 1}
    rows = [request(0), request(1, model="embedder", metadata={})]
    report, _ = joined(tmp_path, rows, prices={**PRICES, **one_sided})
    assert rejected(report, "prices") == {"missing_price": 1}
    assert rejected(report) == {"no_price": 1}


def test_the_future_is_not_seen_unless_asked_for(tmp_path: Path) -> None:
    rows = [request(0, startTime="2099-01-01T00:00:00Z", endTime=None), request(1)]
    labels = [{**LABEL, "request_id": "req-00001", "time": "2098-01-06T00:00:00Z"}]
    report, _ = joined(tmp_path, rows, labels=labels)
    assert report["accounting"]["requests"]["excluded"] == {"after_as_of": 1}
    assert report["accounting"]["labels"]["excluded"] == {"after_as_of": 1}
    report, _ = joined(tmp_path, rows, labels=labels, as_of="2099-06-01")
    assert report["accounting"]["requests"]["excluded"] == {}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrapper", [None, "data", "logs"])
def test_an_export_may_be_one_json_document(
    tmp_path: Path, indent: int | None, wrapper: str | None
) -> None:
    rows: Any = [request(i) for i in range(3)]
    document = {wrapper: rows, "total": 3} if wrapper else rows
    path = tmp_path / "export.txt"
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    report, found = joined(tmp_path, rows, requests=str(path))
    assert (rejected(report), len(found)) == ({}, 3)


def test_indented_objects_one_after_another_are_records(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text("\n".join(json.dumps(request(i), indent=2) for i in range(3)) + "\n{\n oops")
    report, found = joined(tmp_path, [], requests=str(path))
    assert (rejected(report), len(found)) == ({"malformed_line": 1}, 3)


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
