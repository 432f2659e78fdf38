"""A label as each tool keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipelines.samples.world import Request


def langfuse_score(r: Request) -> dict[str, Any]:
    """A score of Langfuse."""
    return {
        "id": f"score-{r.number:04d}",
        "observation_id": r.request_id,
        "trace_id": f"trace-{r.number:04d}",
        "name": "correct",
        "value": r.label,
        "data_type": "NUMERIC",
        "source": "API",
        "timestamp": _time(r),
    }


def phoenix_annotation(r: Request) -> dict[str, Any]:
    """A span's annotation in Phoenix."""
    return {
        "span_id": r.request_id,
        "name": "correct",
        "annotator_kind": "CODE",
        "result": {"score": r.label, "label": "right" if r.label else "wrong"},
        "created_at": _time(r),
    }


def tensorzero_feedback(r: Request) -> dict[str, Any]:
    """Feedback of TensorZero."""
    return {
        "target_id": r.request_id,
        "metric_name": "correct",
        "value": bool(r.label),
        "timestamp": _time(r),
    }


def otel_evaluation(r: Request) -> dict[str, Any]:
    """An evaluation event by OpenTelemetry's conventions."""
    return {
        "span_id": r.request_id,
        "gen_ai.evaluation.name": "correct",
        "gen_ai.evaluation.score.value": r.label,
        "timestamp": _time(r),
    }


LABEL_LINES: Final[Mapping[str, Callable[[Request], dict[str, Any]]]] = {
    "langfuse_scores.jsonl": langfuse_score,
    "phoenix_annotations.jsonl": phoenix_annotation,
    "tensorzero_feedback.jsonl": tensorzero_feedback,
    "otel_evaluations.jsonl": otel_evaluation,
}
"""Labels by their file."""


def _time(r: Request) -> str:
    return r.label_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
