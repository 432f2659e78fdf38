"""An answer out of a message, into a log and back."""

from __future__ import annotations

import json

import pytest

from router_ml.types.answers import Answer

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "Yes."}, Answer("Yes.")),
        ({"content": ""}, Answer("")),
        ({"content": None, "tool_calls": [CALL]}, Answer("", (CALL,))),
        (
            {"content": "Let me see.", "tool_calls": [CALL, CALL]},
            Answer("Let me see.", (CALL, CALL)),
        ),
        ({"tool_calls": CALL}, Answer("", (CALL,))),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            Answer("", ({"type": "function", "function": {"name": "f", "arguments": "{}"}},)),
        ),
        ({"content": None, "tool_calls": [], "function_call": None}, None),
        ({"content": None, "tool_calls": ["f", None, {}]}, None),
        ({}, None),
        ({"content": [{"type": "text", "text": "Hi"}]}, Answer('[{"type":"text","text":"Hi"}]')),
    ],
)
def test_a_message_is_read(message: dict[str, object], expected: Answer | None) -> None:
    assert Answer.from_message(message) == expected


@pytest.mark.parametrize(
    "answer",
    [
        Answer(""),
        Answer("Plain."),
        Answer('{"content": "structured output"}'),
        Answer('{"tool_calls": []}'),
        Answer("", (CALL,)),
        Answer(
            "Let me see: ünïcode", (CALL, {"type": "tool_use", "name": "g", "input": {"y": [2]}})
        ),
    ],
)
def test_what_a_log_keeps_is_the_answer(answer: Answer) -> None:
    assert Answer.from_stored(answer.stored) == answer


@pytest.mark.parametrize("text", ["{" * 5000 + '"tool_calls"', '{"tool_calls": 3}', "[1]", "{"])
def test_other_text_stays_text(text: str) -> None:
    assert Answer.from_stored(text) == Answer(text)


def test_calls_are_shown_without_identifiers() -> None:
    assert json.loads(Answer("", (CALL,)).shown) == [{"name": "f", "arguments": {"x": 1}}]
    assert Answer("Look.", (CALL,)).shown.startswith("Look.\n[")
    assert Answer("Look.").shown == "Look."
