"""Decisions in metadata, and outcomes."""

from __future__ import annotations

from typing import Any

from router_ml.client import Choice
from router_ml.integrations.litellm.records import (
    fill,
    outcome_of,
    record_in,
    record_of,
    seed,
)

CHOICE = Choice("a", ("a", "b"), "d-1", "router", "", propensity=0.25, policy="p", version="3")


def test_a_record_is_seeded_where_litellm_keeps_metadata() -> None:
    for holder in ("metadata", "litellm_metadata"):
        data: dict[str, Any] = {holder: {"spend_logs_metadata": {"team": "blue"}}}
        record = seed(data)
        fill(record, CHOICE)
        assert record_of(data) is record
        assert data[holder]["spend_logs_metadata"]["team"] == "blue"
        assert record_in(data[holder]) == {
            "decision_id": "d-1",
            "candidate": "a",
            "candidates": ["a", "b"],
            "propensity": 0.25,
            "policy": "p",
            "policy_version": "3",
        }


def test_what_a_client_made_up_is_replaced() -> None:
    data: dict[str, Any] = {"metadata": {"spend_logs_metadata": {"router": {"decision_id": "x"}}}}
    assert seed(data) == {}
    assert record_of(data) == {}
    assert record_of({"metadata": None}) is None
    assert record_in({"spend_logs_metadata": {"router": "text"}}) is None


def test_a_failures_zeros_are_not_reported() -> None:
    failed = {
        "status": "failure",
        "model_group": "a",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "response_cost": 0.0,
        "startTime": 10.0,
        "endTime": 10.5,
        "error_information": {"error_class": "RateLimitError"},
    }
    assert outcome_of(failed) == {
        "name": "outcome",
        "source": "gateway",
        "status": "failure",
        "candidate_served": "a",
        "latency_ms": 500.0,
        "error_class": "RateLimitError",
    }


def test_litellms_auto_router_says_whom_it_asked() -> None:
    payload = {
        "status": "success",
        "model_group": "auto",
        "metadata": {"routing_decision": {"routed_model": "b"}},
        "response_time": float("nan"),
        "prompt_tokens": True,
    }
    assert outcome_of(payload) == {
        "name": "outcome",
        "source": "gateway",
        "status": "success",
        "candidate_served": "b",
    }
