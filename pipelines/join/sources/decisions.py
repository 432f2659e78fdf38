"""The scoring service's decision log -> canonical requests and feedback.

One JSON object a line (``serving.log.decision_log``), decisions and feedback mixed; a folder holds
the files of all workers. Times are naive UTC by declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from pipelines.join.sources.fields import CANONICAL, Fields
from pipelines.join.sources.files import Record, expand
from pipelines.join.sources.requests import request_rows
from pipelines.join.sources.staging import Staging
from pipelines.join.sources.values import UnreadableError, convert, to_time
from router_ml.data.schemas import DECISIONS as DECISIONS_TABLE
from router_ml.data.schemas import FEEDBACK, PROVENANCE
from router_ml.errors import SchemaError
from router_ml.types.failures import bare, status_word

DECISIONS: Final = "decisions"
TORN: Final = "torn_line"
CASCADE: Final = "cascade_step"
SHADOW: Final = "shadow_decision"
FILES: Final = "decisions-*.jsonl*"
_NOWHERE: Final = ("answer", "status", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
_FIELDS: Final[Fields] = {
    **CANONICAL,
    **dict.fromkeys((*_NOWHERE, "eligible", "action_probs"), ()),
    "candidate_chosen": ("candidate",),
    "candidate_served": ("candidate",),
    "policy_version": ("router_version",),
}


def log_files(patterns: Sequence[str]) -> tuple[Path, ...]:
    """Files of a decision log that hold anything; a folder stands for all of its log files.

    A worker opens its file when it starts, so an empty one is no defect here.

    Raises
    ------
    SchemaError
        If a pattern names no file.
    """
    named = [f"{p}/{FILES}" if Path(p).is_dir() else p for p in patterns]
    return tuple(path for path in expand(named, DECISIONS, empty=True) if path.stat().st_size)


def staged_kind(path: Path) -> str:
    """Whether a file that :func:`stage_log` wrote holds decisions or feedback.

    Raises
    ------
    SchemaError
        If it holds neither.
    """
    names = pq.read_schema(path).names
    for table in (DECISIONS_TABLE, FEEDBACK):
        if names == [*table.names, *PROVENANCE.names]:
            return table.name
    raise SchemaError(
        f"decisions: {path} is Parquet, but not as the loop stages a decision log; name the log's "
        "own files, decisions-*.jsonl"
    )


def stage_log(records: Iterator[Record], file: Path, decisions: Path, feedback: Path) -> None:
    """Write a part of a log as two Parquet files, which ``decisions`` of a join may name, too."""
    with Staging(DECISIONS_TABLE, decisions) as first, Staging(FEEDBACK, feedback) as second:
        staging = {DECISIONS_TABLE.name: first, FEEDBACK.name: second}
        for kind, row in log_rows(records, file):
            staging[kind].add(row)


def log_rows(records: Iterator[Record], file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Canonical rows with provenance, one per record: ``decisions`` or ``feedback``, and the row.

    A line that tells no kind is accounted for by ``decisions``.
    """
    for record in records:
        kind = None if record.values is None else record.values.get("kind")
        if kind == "feedback":
            yield FEEDBACK.name, _feedback(record, file)
        else:
            yield DECISIONS, _decision(record, kind, file)


def _decision(record: Record, kind: Any, file: Path) -> dict[str, Any]:
    (row,) = request_rows([record], _FIELDS, file)
    row |= {"origin": DECISIONS, "zoneless": None, "caller": _caller(record.values)}
    if record.values is None:
        if _torn(record):
            row["exclusion"] = TORN
    elif kind == "cascade":
        row["exclusion"] = CASCADE
    elif kind == "shadow":
        row["exclusion"] = SHADOW
    elif kind != "decision":
        row |= {"problem": "unknown_kind", "detail": f"kind is {kind!r}", "raw": record.text}
    else:
        try:
            row["eligible"], row["action_probs"] = _offered(record.values)
        except (UnreadableError, TypeError, KeyError) as error:
            row |= {"problem": "unreadable_action_probs", "detail": str(error), "raw": record.text}
    return row


def _caller(values: Mapping[str, Any] | None) -> str | None:
    """Name of the key that asked; ``None`` where the service has no keys."""
    key = None if values is None else values.get("key")
    return key if isinstance(key, str) else None


def _torn(record: Record) -> bool:
    """Whether a line is the unfinished last one of a file: a crash, or a write under way."""
    return isinstance(record.raw, bytes) and not record.raw.endswith(b"\n")


def _offered(values: Mapping[str, Any]) -> tuple[list[str], list[float]]:
    """Eligible candidates (those ranked) and their probabilities, in the router's order."""
    names = convert(values.get("candidates"), "string[]")
    probs = convert(values.get("action_probs"), "double[]")
    if not names or probs is None or len(names) != len(probs):
        raise UnreadableError("expected candidates and as many action_probs")
    ranked = {line["candidate"] for line in values.get("ranking") or ()} or set(names)
    # Of an experiment's two arms, one ranked what the other may have chosen.
    pairs = [(name, p) for name, p in zip(names, probs, strict=True) if name in ranked or p > 0.0]
    return [name for name, _ in pairs], [prob for _, prob in pairs]


def _feedback(record: Record, file: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"source_file": str(file), "source_line": record.line}
    values = record.values or {}
    for column in FEEDBACK.columns:
        value = values.get("key" if column.name == "caller" else column.name)
        try:
            is_time = column.type == "timestamp"
            row[column.name] = to_time(value)[0] if is_time else convert(value, column.type)
        except UnreadableError as error:
            row |= {"problem": f"unreadable_{column.name}", "detail": str(error)}
            row["raw"] = record.text
    if row.get("error_class") is not None:
        row["error_class"] = bare(row["error_class"])
        row["status"] = row.get("status") or "failure"
    if row.get("status") is not None:
        row["status"] = status_word(row["status"])
    return row
