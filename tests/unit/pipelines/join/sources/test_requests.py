from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.join.sources.fields import CANONICAL, LITELLM, Fields, with_overrides
from pipelines.join.sources.files import Record
from pipelines.join.sources.requests import request_rows
from router_ml.errors import ConfigError
from router_ml.features.query import Query, group_id, query_id
from router_ml.types.answers import Answer
from tests.dirty_log import request


def read(record: dict[str, Any], fields: Fields = LITELLM) -> dict[str, Any]:
    rows = request_rows([Record(3, b"raw", record)], fields, Path("log.jsonl"))
    return next(rows)


def test_a_standard_logging_payload_becomes_a_canonical_row() -> None:
    row = read(request(4))
    assert row["source_line"] == 3
    assert "problem" not in row
    assert row["query"] == "Question 4, please."
    assert row["query_id"] == query_id(Query("Question 4, please."))
    assert row["group_id"] == group_id(Query("question  4, PLEASE."))
    assert row["candidate_chosen"] == row["candidate_served"] == "medium"
    assert row["eligible"][:3] == ["small", "medium", "large"]
    assert (row["latency_ms"], row["propensity"]) == (500.0, 0.25)
    assert row["answer"] == "Answer."


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"content": "Yes.", "tool_calls": None, "function_call": None}, Answer("Yes.")),
        ({"content": None, "tool_calls": [CALL]}, Answer("", (CALL,))),
        ({"content": "Let me see.", "tool_calls": [CALL]}, Answer("Let me see.", (CALL,))),
        (
            {"content": None, "function_call": CALL["function"]},
            Answer("", ({"type": "function", "function": CALL["function"]},)),
        ),
        ({"content": None, "tool_calls": []}, None),
        ({"content": None}, None),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_native_tool_calls_are_an_answer(
    message: dict[str, Any], answer: Answer | None, as_text: bool
) -> None:
    response: Any = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    record = request(4) | {"response": json.dumps(response) if as_text else response}
    stored = read(record)["answer"]
    assert (None if stored is None else Answer.from_stored(stored)) == answer


def test_a_field_may_name_the_whole_message() -> None:
    fields = with_overrides(LITELLM, {"answer": ("output",)})
    record = request(4) | {"output": {"role": "assistant", "content": None, "tool_calls": [CALL]}}
    del record["response"]
    stored = read(record, fields)["answer"]
    assert Answer.from_stored(stored) == Answer("", (CALL,))


def test_an_answer_that_is_json_stays_as_it_was_written() -> None:
    fields = with_overrides(LITELLM, {"answer": ("output",)})
    assert read(request(4) | {"output": '{"content": 3}'}, fields)["answer"] == '{"content": 3}'
    assert read(request(4) | {"output": {"total": 3}}, fields)["answer"] == '{"total":3}'


def test_a_spend_logs_row_is_read_too() -> None:
    row = read(
        {
            "request_id": "chatcmpl-1",
            "call_type": "acompletion",
            "model": "small",
            "spend": 0.5,
            "startTime": "2026-03-01T12:00:00.000Z",
            "endTime": "2026-03-01T12:00:02.500Z",
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "cache_hit": "False",
            "status": "success",
            "messages": "{}",
            "proxy_server_request": '{"messages": [{"role": "user", "content": "Hi"}]}',
            "metadata": '{"attempted_fallbacks": 0}',
            "response": "{}",
        }
    )
    assert "problem" not in row
    assert "exclusion" not in row
    assert (row["query"], row["cost_usd"], row["latency_ms"]) == ("Hi", 0.5, 2500.0)
    assert row["cache_hit"] is False


def test_after_a_fallback_the_candidate_asked_was_the_one_chosen() -> None:
    metadata = {"attempted_fallbacks": 2, "original_model_group": "large"}
    row = read(request(0, model="small", metadata=metadata))
    assert (row["candidate_chosen"], row["candidate_served"]) == ("large", "small")
    assert row["exclusion"] == "fallback"


@pytest.mark.parametrize(
    ("changes", "served"),
    [
        ({"model_group": "gpt-x@low"}, "gpt-x@low"),
        ({"model_group": "auto", "routed_model": "gpt-x@high"}, "gpt-x@high"),
    ],
)
def test_a_decision_in_litellms_spend_log_names_groups(
    changes: dict[str, Any], served: str
) -> None:
    decision = {
        "decision_id": "d-1",
        "candidate": "gpt-x@low",
        "candidates": ["gpt-x@low", "gpt-x@high"],
        "propensity": 0.25,
        "policy": "boltzmann",
    }
    routed = {"routed_model": changes.get("routed_model")}
    metadata = {"spend_logs_metadata": {"router": decision}, "routing_decision": routed}
    row = read(request(0, model="openai/gpt-x", metadata=metadata, **changes))
    assert (row["candidate_chosen"], row["candidate_served"]) == ("gpt-x@low", served)
    assert (row["decision_id"], row["propensity"]) == ("d-1", 0.25)
    assert row["eligible"] == ["gpt-x@low", "gpt-x@high"]
    assert row["policy_version"] == "boltzmann"


def test_tools_as_an_object_are_one_tool() -> None:
    tool = {"name": "lookup", "description": "Find it."}
    as_object = read(request(0, model_parameters={"tools": tool}))
    as_list = read(request(0, model_parameters={"tools": [tool]}))
    assert as_object["repair"] == "tools_as_object"
    assert "repair" not in as_list
    assert as_object["tools"] == as_list["tools"] == '[{"name":"lookup","description":"Find it."}]'
    assert as_object["query_id"] == as_list["query_id"] != read(request(0))["query_id"]


def test_fields_can_be_elsewhere() -> None:
    fields = with_overrides(LITELLM, {"propensity": ("hidden.p",), "candidate_served": ("name",)})
    row = read(request(0, hidden={"p": 0.75}, name="mine"), fields)
    assert (row["propensity"], row["candidate_served"]) == (0.75, "mine")
    with pytest.raises(ConfigError, match=r"no field propensty; there are request_id"):
        with_overrides(LITELLM, {"propensty": ("x",)})


def test_a_canonical_row_gets_the_hashes_it_lacks() -> None:
    row = read({"request_id": "a", "query": "Hi", "tools": '[{"name": "t"}]'}, CANONICAL)
    assert row["query_id"] == query_id(Query("Hi", tools=({"name": "t"},)))
    kept = read({"request_id": "a", "query": "Hi", "query_id": "q", "group_id": "g"}, CANONICAL)
    assert (kept["query_id"], kept["group_id"]) == ("q", "g")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prompt_tokens": 1.5}, "unreadable_input_tokens"),
        ({"startTime": "soon"}, "unreadable_time"),
        ({"messages": [{"content": "x"}]}, "malformed_messages"),
        ({"model_parameters": {"tools": [3]}}, "malformed_tools"),
        ({"response_time": "slow"}, "unreadable_latency_ms"),
    ],
)
def test_what_cannot_be_read_keeps_its_row_and_reason(
    changes: dict[str, Any], problem: str
) -> None:
    row = read(request(0, **changes))
    assert (row["problem"], row["raw"]) == (problem, "raw")
    assert row["detail"]


@pytest.mark.parametrize("odd", [[], {}, [[]], {"a": None}, 7, True, "", [None], 1.5])
def test_no_value_of_another_type_ends_the_job(odd: object) -> None:
    def swapped(value: object) -> Iterator[object]:
        """The record with each of its values, at any depth, replaced by the odd one."""
        yield odd
        if isinstance(value, dict):
            for key, part in value.items():
                yield from ({**value, key: other} for other in swapped(part))
        elif isinstance(value, list):
            for i, part in enumerate(value):
                yield from ([*value[:i], other, *value[i + 1 :]] for other in swapped(part))

    parts = [{"type": "text", "text": "Hello?"}]
    tools = [{"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}]
    record = request(4, messages=[{"role": "user", "content": parts}])
    record["model_parameters"] = {"tools": tools}
    for changed in swapped(record):
        if isinstance(changed, dict) and changed:
            assert read(changed)["source_line"] == 3


def test_a_call_type_that_is_no_word_is_no_chat() -> None:
    assert read(request(4, call_type=["acompletion"]))["exclusion"] == "not_chat"
