"""A decision in the metadata of LiteLLM's call, and what became of it.

LiteLLM keeps of a call's metadata what its own names are, and ``spend_logs_metadata``, both in the
spend log's table and in what callbacks get. There the decision stands, under ``router``; ``join``
reads it from there, so that the log joins itself.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final

from router_ml.client import Choice

KEY: Final = "router"
_SPEND: Final = "spend_logs_metadata"
_HOLDERS: Final = ("litellm_metadata", "metadata")
NO_OPINION: Final = "default"
"""Stands as policy where the default answered; no decision, hence no propensity."""
OUTCOME: Final = "outcome"
"""Name of feedback that reports without judging."""


def seed(data: MutableMapping[str, Any]) -> dict[str, Any]:
    """An empty record in a request's metadata, which whoever decides fills in.

    LiteLLM keeps metadata of some routes under ``litellm_metadata``. A client's own
    ``spend_logs_metadata`` is kept, but for a record that it made up.
    """
    holder = next((name for name in _HOLDERS if isinstance(data.get(name), dict)), "metadata")
    metadata = data.setdefault(holder, {})
    given = metadata.get(_SPEND)
    record: dict[str, Any] = {}
    metadata[_SPEND] = {**given, KEY: record} if isinstance(given, dict) else {KEY: record}
    return record


def fill(record: MutableMapping[str, Any], choice: Choice) -> None:
    """Write a choice into a record."""
    record.update(
        decision_id=choice.decision_id,
        candidate=choice.candidate,
        candidates=list(choice.ranking),
        propensity=choice.propensity,
        policy=choice.policy,
        policy_version=choice.version,
    )


def record_in(metadata: object) -> dict[str, Any] | None:
    """The record in a call's metadata, filled or not; ``None`` where there is none."""
    spend = metadata.get(_SPEND) if isinstance(metadata, Mapping) else None
    record = spend.get(KEY) if isinstance(spend, Mapping) else None
    return record if isinstance(record, dict) else None


def record_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a request."""
    for name in _HOLDERS:
        record = record_in(data.get(name))
        if record is not None:
            return record
    return None


def outcome_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A StandardLoggingPayload as ``POST /v1/feedback`` takes it, without a quality.

    Examples
    --------
    >>> payload = {"status": "success", "model_group": "small", "prompt_tokens": 9,
    ...            "completion_tokens": 4, "response_cost": 2e-05, "response_time": 0.25}
    >>> outcome_of(payload)["latency_ms"], outcome_of(payload)["candidate_served"]
    (250.0, 'small')
    """
    seconds = _number(payload.get("response_time"))
    if seconds is None:
        seconds = _elapsed(payload.get("startTime"), payload.get("endTime"))
    cost, served = _number(payload.get("response_cost")), payload.get("model_group")
    metadata = payload.get("metadata")
    native = metadata.get("routing_decision") if isinstance(metadata, Mapping) else None
    if isinstance(native, Mapping) and native.get("routed_model"):
        served = native["routed_model"]  # the group is then LiteLLM's auto router
    found = {
        "status": payload.get("status"),
        "candidate_served": served if isinstance(served, str) and served else None,
        "input_tokens": _count(payload.get("prompt_tokens")),
        "output_tokens": _count(payload.get("completion_tokens")),
        "cost_usd": cost,
        "latency_ms": None if seconds is None else seconds * 1e3,
        "error_class": _error_class(payload),
    }
    if found["status"] != "success":  # a failure's zeros are not measured
        found |= {"input_tokens": None, "output_tokens": None, "cost_usd": None}
    named = {"name": OUTCOME, "source": "gateway"}
    return named | {name: value for name, value in found.items() if value is not None}


def _error_class(payload: Mapping[str, Any]) -> str | None:
    told = payload.get("error_information")
    name = told.get("error_class") if isinstance(told, Mapping) else None
    return name if isinstance(name, str) and 0 < len(name) <= 256 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return float(value)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _elapsed(begin: object, end: object) -> float | None:
    if isinstance(begin, datetime) and isinstance(end, datetime):
        return max(0.0, (end - begin).total_seconds())
    first, last = _number_of_time(begin), _number_of_time(end)
    return None if first is None or last is None else max(0.0, last - first)


def _number_of_time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
