"""Whose fault a failure was, and what becomes of attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dirty_log import request
from tests.small_join import LABEL, joined


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
