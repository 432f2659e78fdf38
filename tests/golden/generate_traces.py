"""Write ``tests/golden/traces``: exports of tracing tools, made by the tools themselves.

Run with ``opentelemetry-sdk`` 1.45 and ``openinference-semantic-conventions`` 0.1.42 for the spans
(``python generate_traces.py spans``), with ``opentelemetry-exporter-otlp-proto-http`` 1.45 for OTLP
(``… otlp``), and with MLflow 3.17 for the traces (``… mlflow``, with
``MLFLOW_ENABLE_ASYNC_TRACE_LOGGING=false``). Texts are our own.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "traces"
ASKS = ("Which planet is nearest to the sun?", "What is the weather in Oslo?", "Name a prime.")
MODELS = ("small", "large", "small")
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather of a city.", "parameters": {}},
}
START_NS = 1_772_340_000_000_000_000


def spans() -> None:
    """GenAI spans by old and new names, and OpenInference spans, as the SDK prints them."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai

    SpanAttributes = importlib.import_module("openinference.semconv.trace").SpanAttributes

    def write(name: str, made: list[dict[str, Any]]) -> None:
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("golden")
        for i, attributes in enumerate(made):
            start = START_NS + i * 60_000_000_000
            span = tracer.start_span("chat", attributes=attributes, start_time=start)
            span.end(end_time=start + 1_500_000_000)
        lines = [json.dumps(json.loads(one.to_json())) for one in exporter.get_finished_spans()]
        (FOLDER / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    new: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    inference: list[dict[str, Any]] = []
    for i, (ask, model) in enumerate(zip(ASKS, MODELS, strict=True)):
        tokens = {gen_ai.GEN_AI_USAGE_INPUT_TOKENS: 20 + i, gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: 5}
        parts = [{"role": "user", "parts": [{"type": "text", "content": ask}]}]
        reply = [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]
        new.append(
            {
                gen_ai.GEN_AI_OPERATION_NAME: "chat",
                gen_ai.GEN_AI_REQUEST_MODEL: model,
                gen_ai.GEN_AI_RESPONSE_FINISH_REASONS: ["stop"],
                gen_ai.GEN_AI_INPUT_MESSAGES: json.dumps(parts),
                gen_ai.GEN_AI_OUTPUT_MESSAGES: json.dumps(reply),
                **({gen_ai.GEN_AI_TOOL_DEFINITIONS: json.dumps([TOOL])} if i == 1 else {}),
                **tokens,
            }
        )
        old.append(
            {
                "gen_ai.system": "openai",
                "gen_ai.request.model": model,
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": ask,
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": "Yes.",
                "gen_ai.usage.prompt_tokens": 20 + i,
                "gen_ai.usage.completion_tokens": 5,
            }
        )
        message = f"{SpanAttributes.LLM_INPUT_MESSAGES}.0.message"
        answer = f"{SpanAttributes.LLM_OUTPUT_MESSAGES}.0.message"
        inference.append(
            {
                SpanAttributes.OPENINFERENCE_SPAN_KIND: "LLM",
                SpanAttributes.LLM_MODEL_NAME: model,
                f"{message}.role": "user",
                f"{message}.content": ask,
                f"{answer}.role": "assistant",
                f"{answer}.content": "Yes.",
                SpanAttributes.LLM_TOKEN_COUNT_PROMPT: 20 + i,
                SpanAttributes.LLM_TOKEN_COUNT_COMPLETION: 5,
                **(
                    {f"{SpanAttributes.LLM_TOOLS}.0.tool.json_schema": json.dumps(TOOL)}
                    if i == 1
                    else {}
                ),
            }
        )
    tool_call = {gen_ai.GEN_AI_OPERATION_NAME: "execute_tool", "gen_ai.tool.name": "weather"}
    write("otel_new.jsonl", [*new, tool_call])
    write("otel_old.jsonl", old)
    write("openinference.jsonl", [*inference, {SpanAttributes.OPENINFERENCE_SPAN_KIND: "CHAIN"}])


def mlflow_traces() -> None:
    """Traces with assessments, as ``mlflow.search_traces`` gives them, one JSON row each."""
    import mlflow
    from mlflow.entities import AssessmentSource, SpanType

    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("golden")
        for i, (ask, model) in enumerate(zip(ASKS, MODELS, strict=True)):
            with mlflow.start_span("chat", span_type=SpanType.CHAT_MODEL) as span:
                asked = {"model": model, "messages": [{"role": "user", "content": ask}]}
                span.set_inputs(asked | ({"tools": [TOOL]} if i == 1 else {}))
                message = {"role": "assistant", "content": "Yes."}
                span.set_outputs({"choices": [{"message": message}]})
                usage = {"input_tokens": 20 + i, "output_tokens": 5, "total_tokens": 25 + i}
                span.set_attribute("mlflow.chat.tokenUsage", usage)
                span.set_attribute("mlflow.llm.model", model)
            source = AssessmentSource(source_type="HUMAN", source_id="ada")
            mlflow.log_feedback(trace_id=span.trace_id, name="correct", value=i != 2, source=source)
        table = mlflow.search_traces(return_type="pandas", order_by=["timestamp ASC"])
        rows = [json.loads(row) for row in table.to_json(orient="records", lines=True).split("\n")
                if row]  # fmt: skip
        rows.sort(key=lambda row: row["request_time"])
        for row in rows:  # what names the machine stays out
            row.pop("trace")
            row.pop("tags")
            for key in [key for key in row["trace_metadata"] if key.startswith("mlflow.source")]:
                row["trace_metadata"].pop(key)
            row["trace_metadata"].pop("mlflow.user", None)
        text = "\n".join(map(json.dumps, rows))
        (FOLDER / "mlflow.jsonl").write_text(text + "\n", encoding="utf-8")


def otlp() -> None:
    """What the OTLP exporter posts, as a collector's file exporter writes it: ids in hex."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    common: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    memory: Any = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("golden")
    for i, (ask, model) in enumerate(zip(ASKS, MODELS, strict=True)):
        parts = [{"role": "user", "parts": [{"type": "text", "content": ask}]}]
        reply = [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.input.messages": json.dumps(parts),
            "gen_ai.output.messages": json.dumps(reply),
            "gen_ai.usage.input_tokens": 20 + i,
            "gen_ai.usage.output_tokens": 5,
        }
        start = START_NS + i * 60_000_000_000
        span = tracer.start_span("chat", attributes=attributes, start_time=start)
        span.end(end_time=start + 1_500_000_000)
    export = json_format.MessageToDict(common.encode_spans(exporter.get_finished_spans()))
    for resource in export["resourceSpans"]:
        resource["resource"] = {}
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            for key in ("traceId", "spanId"):
                span[key] = base64.b64decode(span[key]).hex()
    (FOLDER / "otlp.json").write_text(json.dumps(export) + "\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    {"spans": spans, "otlp": otlp, "mlflow": mlflow_traces}[sys.argv[1]]()
