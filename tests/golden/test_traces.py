"""Exports of tracing tools, made by the tools (``generate_traces.py``), join as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes

TRACES = Path(__file__).parent / "traces"
PRICES = {
    name: {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
    for name in ("small", "large")
}
HI = json.dumps([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
ASKS = ["Which planet is nearest to the sun?", "What is the weather in Oslo?", "Name a prime."]


def joined(folder: Path, requests: Path, **changes: Any) -> tuple[dict[str, Any], Any]:
    """Report, and outcomes in order of time."""
    listed = changes.pop("price_map", PRICES)
    (folder / "prices.json").write_text(json.dumps(listed), encoding="utf-8")
    values = {"requests": requests, "prices": folder / "prices.json", "output": folder / "out"}
    out = run(load_config(JoinConfig, overrides={**values, "as_of": "2030-01-01", **changes}))
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report, read_outcomes(out)


@pytest.mark.parametrize(
    ("name", "others", "tools"),
    [
        ("otel_new.jsonl", {"not_chat": 1}, 1),
        ("otel_old.jsonl", {}, 0),
        ("openinference.jsonl", {"not_chat": 1}, 1),
        ("otlp.json", {}, 0),
        ("mlflow.jsonl", {}, 1),
    ],
)
def test_spans_are_requests(tmp_path: Path, name: str, others: dict[str, int], tools: int) -> None:
    report, rows = joined(tmp_path, TRACES / name)
    account = report["accounting"]["requests"]
    assert (account["used"], account["excluded"], account["rejected"]) == (3, others, {})
    assert rows["query"].tolist() == ASKS
    assert rows["candidate_served"].tolist() == ["small", "large", "small"]
    assert rows["input_tokens"].tolist() == [20, 21, 22]
    assert rows["output_tokens"].tolist() == [5, 5, 5]
    assert rows["answer"].tolist() == ["Yes."] * 3
    assert rows["tools"].notna().sum() == tools
    assert (rows["latency_ms"] > 0).all()


def test_assessments_of_traces_are_labels(tmp_path: Path) -> None:
    path = TRACES / "mlflow.jsonl"
    report, rows = joined(tmp_path, path, labels=path)
    assert report["accounting"]["labels"]["used"] == 3
    assert rows["quality"].tolist() == [1.0, 1.0, 0.0]
    assert set(rows["label_source"]) == {"human"}


def test_what_litellms_callback_is_handed(tmp_path: Path) -> None:
    """Payloads of LiteLLM itself, made by ``generate_litellm.py``."""
    prices = {"gpt-4o-mini": {"input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7}}
    report, rows = joined(tmp_path, TRACES / "litellm.jsonl", price_map=prices)
    account = report["accounting"]["requests"]
    assert (account["used"], account["excluded"]) == (4, {"client_error": 1})
    rows = rows.sort_values("time")
    assert rows["query"].tolist() == [ASKS[0], ASKS[1], ASKS[2], "Why is the sky blue?"]
    assert rows["status"].tolist() == ["success"] * 3 + ["failure"]
    assert rows["input_tokens"].tolist()[:3] == [10, 10, 18]
    assert rows["cost_usd"].tolist()[:3] == pytest.approx([1.35e-5, 1.35e-5, 5.1e-6])
    assert rows["tools"].notna().tolist() == [False, True, False, False]
    assert '"name":"weather"' in rows["answer"].iloc[1].replace(" ", "")
    assert rows["ttft_ms"].notna().tolist() == [False, False, True, False]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_a_phoenix_server_gives_out(tmp_path: Path, suffix: str) -> None:
    """Data frames of its client, made by ``generate_phoenix.py``."""
    spans, notes = TRACES / f"phoenix_spans.{suffix}", TRACES / "phoenix_annotations.jsonl"
    report, rows = joined(tmp_path, spans, labels=notes)
    account = report["accounting"]["requests"]
    assert (account["used"], account["excluded"], account["rejected"]) == (3, {"not_chat": 1}, {})
    rows = rows.sort_values("time")
    assert rows["query"].tolist() == ASKS
    assert rows["candidate_served"].tolist() == ["small", "large", "small"]
    assert rows["input_tokens"].tolist() == [20, 21, 22]
    assert rows["answer"].tolist() == ["Yes."] * 3
    assert rows["latency_ms"].tolist() == [1_500.0] * 3
    assert rows["tools"].notna().sum() == 1
    assert rows["session_id"].tolist() == ["s-1"] * 3
    assert rows["quality"].tolist() == [1.0, 1.0, 0.0]
    assert set(rows["label_source"]) == {"human"}


def test_otlp_is_unfolded(tmp_path: Path) -> None:
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "small"}},
        {"key": "gen_ai.prompt.0.role", "value": {"stringValue": "user"}},
        {"key": "gen_ai.prompt.0.content", "value": {"stringValue": "Hi there"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "2"}},
    ]
    spans = [
        {"traceId": "t", "spanId": f"s{i}", "startTimeUnixNano": "1772340000000000000",
         "endTimeUnixNano": "1772340001000000000", "attributes": attributes, "status": {"code": i}}
        for i in range(3)
    ]  # fmt: skip
    export = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    path = tmp_path / "otlp.json"
    path.write_text(json.dumps(export, indent=1), encoding="utf-8")
    report, rows = joined(tmp_path, path)
    assert report["accounting"]["requests"]["used"] == 3
    assert sorted(rows["status"]) == ["failure", "success", "success"]
    assert set(rows["latency_ms"]) == {1_000.0}


def test_langfuse_observations_and_scores(tmp_path: Path) -> None:
    observations = [
        {"id": f"o{i}", "trace_id": f"t{i}", "type": kind, "level": "DEFAULT",
         "start_time": "2026-03-01 10:00:00.000000", "end_time": "2026-03-01 10:00:02.000000",
         "provided_model_name": "small",
         "input": json.dumps([{"role": "user", "content": f"Question {i}?"}]), "output": "Yes.",
         "usage_details": {"input": 9, "output": 3, "total": 12}, "total_cost": "",
         "session_id": ""}
        for i, kind in enumerate(["GENERATION", "GENERATION", "SPAN"])
    ]  # fmt: skip
    scores = [
        {"id": "1", "trace_id": "t0", "observation_id": "o0", "name": "ok", "value": 1,
         "source": "ANNOTATION", "data_type": "BOOLEAN", "timestamp": "2026-03-01 11:00:00.000000"},
        {"id": "2", "trace_id": "t1", "observation_id": "o1", "name": "ok", "value": "",
         "string_value": "False", "source": "EVAL", "data_type": "CATEGORICAL",
         "timestamp": "2026-03-01 11:00:00.000000"},
    ]  # fmt: skip
    for name, rows in (("observations", observations), ("scores", scores)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report, found = joined(
        tmp_path, tmp_path / "observations.jsonl", labels=tmp_path / "scores.jsonl"
    )
    assert report["accounting"]["requests"]["excluded"] == {"not_chat": 1}
    assert found["quality"].tolist() == [1.0, 0.0]
    assert found["label_source"].tolist() == ["human", "judge"]
    assert found["latency_ms"].tolist() == [2_000.0] * 2


def test_tensorzero_inferences_and_feedback(tmp_path: Path) -> None:
    rows = [
        {"id": f"m{i}", "inference_id": f"i{i}", "model_name": "large", "model_provider_name": "p",
         "input_messages": HI,
         "output": "[]", "input_tokens": 9, "output_tokens": 3, "response_time_ms": 40,
         "timestamp": "2026-03-01T10:00:00Z"}
        for i in range(2)
    ]  # fmt: skip
    feedback = [{"id": "f", "target_id": "i1", "metric_name": "solved", "value": True,
                 "timestamp": "2026-03-01T11:00:00Z"}]  # fmt: skip
    for name, lines in (("inference", rows), ("feedback", feedback)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    _, found = joined(tmp_path, tmp_path / "inference.jsonl", labels=tmp_path / "feedback.jsonl")
    assert found.set_index("request_id")["quality"].to_dict()["i1"] == 1.0
    assert found["latency_ms"].tolist() == [40.0, 40.0]
