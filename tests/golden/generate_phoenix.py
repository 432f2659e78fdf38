"""Write ``tests/golden/traces/phoenix_*``: spans and annotations out of a running Phoenix server.

In an environment of its own, with ``arize-phoenix`` 20.26 and
``opentelemetry-exporter-otlp-proto-http``: ``PHOENIX_HOST=127.0.0.1 PHOENIX_PORT=6006 phoenix
serve``, then ``python generate_phoenix.py http://127.0.0.1:6006``. Spans go in by OTLP and come out
by Phoenix's client, as its users export them: as data frames, here to JSON lines and Parquet.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "traces"
ASKS = ("Which planet is nearest to the sun?", "What is the weather in Oslo?", "Name a prime.")
MODELS = ("small", "large", "small")
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather of a city.", "parameters": {}},
}
PROJECT = f"golden-{int(time.time())}"
START_NS = 1_772_340_000_000_000_000


def send(url: str) -> list[str]:
    """Three calls of a model below one chain; ids of their spans."""
    sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    resources: Any = importlib.import_module("opentelemetry.sdk.resources")
    trace: Any = importlib.import_module("opentelemetry.trace")
    resource = resources.Resource.create({"openinference.project.name": PROJECT})
    provider = sdk.TracerProvider(resource=resource)
    exporter = otlp.OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("golden")
    chain = {"openinference.span.kind": "CHAIN", "input.value": "all"}
    root = tracer.start_span("agent", attributes=chain, start_time=START_NS)
    inside = trace.set_span_in_context(root)
    ids = []
    for i, (ask, model) in enumerate(zip(ASKS, MODELS, strict=True)):
        attributes: dict[str, Any] = {
            "openinference.span.kind": "LLM",
            "llm.model_name": model,
            "llm.provider": "openai",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be short.",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.content": ask,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Yes.",
            "llm.token_count.prompt": 20 + i,
            "llm.token_count.completion": 5,
            "llm.token_count.total": 25 + i,
            "session.id": "s-1",
        }
        if i == 1:
            attributes["llm.tools.0.tool.json_schema"] = json.dumps(TOOL)
        start = START_NS + i * 60_000_000_000
        span = tracer.start_span("chat", context=inside, attributes=attributes, start_time=start)
        span.set_status(trace.StatusCode.OK)
        span.end(end_time=start + 1_500_000_000)
        ids.append(f"{span.get_span_context().span_id:016x}")
    root.end(end_time=START_NS + 200_000_000_000)
    provider.shutdown()
    return ids


def main(url: str) -> None:
    """Spans in, annotations on, both out."""
    phoenix: Any = importlib.import_module("phoenix.client")
    ids = send(url)
    client = phoenix.Client(base_url=url)
    for i, span in enumerate(ids):
        client.spans.add_span_annotation(
            span_id=span, annotation_name="correct", annotator_kind="HUMAN",
            label="right" if i != 2 else "wrong", score=float(i != 2), sync=True,
        )  # fmt: skip
    for _ in range(50):
        spans = client.spans.get_spans_dataframe(project_identifier=PROJECT)
        if len(spans) == len(ids) + 1:
            break
        time.sleep(0.2)
    notes = client.spans.get_span_annotations_dataframe(
        spans_dataframe=spans, project_identifier=PROJECT
    )
    spans.to_parquet(FOLDER / "phoenix_spans.parquet")
    for name, frame in (("spans", spans), ("annotations", notes)):
        table = frame.reset_index(drop=frame.index.name in frame.columns)
        text = table.to_json(orient="records", lines=True, date_format="iso")
        (FOLDER / f"phoenix_{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
