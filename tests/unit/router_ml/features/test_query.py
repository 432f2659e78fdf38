"""The last human ask, one ask before it, the tools; harness noise stays out."""

from __future__ import annotations

import pytest

from router_ml.errors import InvalidRequestError
from router_ml.features.query import (
    MAX_ASK_CHARS,
    Query,
    group_id,
    parse_query,
    query_id,
    strip_harness,
)

TOOL = {"name": "mix", "description": "Mix two colours.", "parameters": {"properties": {}}}


def test_last_ask_and_one_before_it() -> None:
    query = parse_query(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": "Ok"},
            {"role": "user", "content": "Second"},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "content": "42"},
            {"role": "user", "content": "Third"},
        ]
    )
    assert (query.ask, query.prior, query.n_turns) == ("Third", "Second", 3)
    assert query.history_chars == len("Be brief.FirstOkSecond42Third")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<system-reminder>noise</system-reminder>Ask", "Ask"),
        ("Ask <tool_result id='1'>\n42\n</tool_result>", "Ask"),
        ("Ask <system-reminder>never closed", "Ask"),
        ("a < b and b > c", "a < b and b > c"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("", ""),
    ],
)
def test_harness_blocks_are_stripped(text: str, left: str) -> None:
    assert strip_harness(text) == left


def test_a_message_of_nothing_but_harness_is_no_ask() -> None:
    query = parse_query(
        [
            {"role": "user", "content": "Real ask"},
            {"role": "user", "content": "<system-reminder>noise</system-reminder>"},
        ]
    )
    assert query.ask == "Real ask"


def test_parts_tools_and_shapes() -> None:
    content = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "this?"},
        {"type": "tool_result", "content": [{"type": "text", "text": "a cat"}]},
    ]
    query = parse_query([{"role": "user", "content": content}], TOOL)
    assert query.ask == "What is\nthis?"
    assert query.history_chars == len("What isthis?a cat")
    openai = parse_query("x", [{"type": "function", "function": TOOL}])
    anthropic = parse_query("x", [{**TOOL, "parameters": None, "input_schema": {}}])
    assert query.tools_text == openai.tools_text == anthropic.tools_text == "mix: Mix two colours."


@pytest.mark.parametrize(
    ("messages", "tools"),
    [
        (7, None),
        ([7], None),
        ([{"content": "no role"}], None),
        ([{"role": "user", "content": 7}], None),
        ("x", "a string"),
        ("x", [7]),
    ],
)
def test_wrong_shapes_are_named_and_never_quoted(messages: object, tools: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"must be|has a part"):
        parse_query(messages, tools)


def test_long_asks_keep_head_and_tail() -> None:
    text = Query("start " + "x" * 100_000 + " end?").text
    assert len(text) <= MAX_ASK_CHARS
    assert text.startswith("start ")
    assert text.endswith(" end?")


def test_ids() -> None:
    plain, tooled = parse_query("Mix  BLUE"), parse_query("mix blue", TOOL)
    assert group_id(plain) == group_id(tooled)
    assert query_id(plain) != query_id(parse_query("mix blue"))
    assert query_id(tooled) == query_id(parse_query("mix blue", [TOOL]))
    assert group_id(parse_query("Grüße")) == group_id(parse_query("GRÜSSE"))
