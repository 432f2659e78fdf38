"""Labels as tracing tools export them -> canonical label records.

Langfuse scores, MLflow assessments, Phoenix annotations, OpenTelemetry evaluation events and
TensorZero feedback. A record of none of these shapes stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from pipelines.join.sources.records import Record
from pipelines.join.sources.values import find, open_json

_SOURCES: Final = {
    "human": "human",
    "annotation": "human",
    "llm": "judge",
    "llm_judge": "judge",
    "eval": "judge",
    "ai_judge": "judge",
    "code": "checker",
    "api": "user",
}
_WORDS: Final = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "pass": 1.0, "fail": 0.0}


def known_labels(records: Iterable[Record]) -> tuple[bool, Iterator[Record]]:
    """Whether a file's labels are of a known shape, by its first record; and one record a label."""
    stream = iter(records)
    first = next(stream, None)
    if first is None:
        return False, iter(())
    shaped = first.values is not None and labels_of(first.values) is not None
    together = chain([first], stream)
    return shaped, label_records(together) if shaped else together


def label_records(records: Iterable[Record]) -> Iterator[Record]:
    """The labels that records hold, one record each."""
    for record in records:
        found = None if record.values is None else labels_of(record.values)
        if found is None:
            yield record
        else:
            yield from (Record(record.line, record.raw, values) for values in found)


def labels_of(values: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Canonical labels of a record; None if it is of no known shape.

    Examples
    --------
    >>> labels_of({"span_id": "s", "name": "ok", "annotator_kind": "HUMAN",
    ...            "result": {"score": 1.0}, "created_at": "2026-03-01T00:00:00Z"})[0]["source"]
    'human'
    """
    if isinstance(assessments := open_json(values.get("assessments")), list):
        found = [_assessment(item, values) for item in assessments if isinstance(item, Mapping)]
        return [label for label in found if label is not None]
    if "assessment_name" in values or ("feedback" in values and "trace_id" in values):
        label = _assessment(values, values)
        return [] if label is None else [label]
    if "annotator_kind" in values:
        return [_annotation(values)]
    if "data_type" in values and ("trace_id" in values or "observation_id" in values):
        return [_langfuse_score(values)]
    if "metric_name" in values and "target_id" in values:
        return [_tensorzero(values)]
    if "gen_ai.evaluation.name" in values:
        return [_evaluation(values)]
    return None


def _label(
    request_id: Any, name: Any, value: Any, source: Any, time: Any, **extra: Any
) -> dict[str, Any]:
    word = str(source or "").rsplit(".", 1)[-1].lower()
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    return {
        "request_id": request_id,
        "name": name,
        "value": value,
        "source": _SOURCES.get(word, word or None),
        "time": time,
        **extra,
    }


def _assessment(item: Mapping[str, Any], trace: Mapping[str, Any]) -> dict[str, Any] | None:
    """An MLflow assessment; None of an expectation, an error, or one that another replaced."""
    if item.get("valid") is False or "expectation" in item:
        return None
    feedback = open_json(item.get("feedback"))
    value = feedback.get("value") if isinstance(feedback, Mapping) else item.get("value")
    if value is None:
        return None
    time = item.get("create_time_ms")
    return _label(
        item.get("trace_id") or trace.get("trace_id"),
        item.get("assessment_name") or item.get("name"),
        value,
        find(item, ["source.source_type", "source_type"]),
        time / 1e3 if isinstance(time, int | float) else item.get("create_time"),
    )


def _annotation(values: Mapping[str, Any]) -> dict[str, Any]:
    score = find(values, ["result.score", "score"])
    return _label(
        find(values, ["span_id", "context.span_id"]),
        find(values, ["name", "annotation_name"]),
        score if score is not None else find(values, ["result.label", "label"]),
        values["annotator_kind"],
        find(values, ["updated_at", "created_at"]),
    )


def _langfuse_score(values: Mapping[str, Any]) -> dict[str, Any]:
    value = values.get("value")
    if value in (None, ""):
        value = values.get("string_value")
    return _label(
        values.get("observation_id") or values.get("trace_id"),
        values.get("name"),
        value,
        values.get("source"),
        values.get("timestamp") or values.get("created_at"),
    )


def _tensorzero(values: Mapping[str, Any]) -> dict[str, Any]:
    return _label(
        values["target_id"], values["metric_name"], values.get("value"), "user",
        values.get("timestamp"),
    )  # fmt: skip


def _evaluation(values: Mapping[str, Any]) -> dict[str, Any]:
    score = values.get("gen_ai.evaluation.score.value")
    return _label(
        find(values, ["gen_ai.response.id", "span_id"]),
        values["gen_ai.evaluation.name"],
        score if score is not None else values.get("gen_ai.evaluation.score.label"),
        "eval",
        find(values, ["timestamp", "time"]),
    )
