"""Requests of LiteLLM's routes."""

from __future__ import annotations

from typing import Any

import pytest

from router_ml.features.query import parse_query
from router_ml.integrations.litellm.chats import chat_of

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    "data",
    [
        {"messages": HELLO},
        {"input": "Hello"},
        {"input": HELLO, "instructions": "Be brief."},
        {"input": [{"type": "message", "role": "user", "content": "Hello"}]},
        {"prompt": "Hello"},
    ],
)
def test_the_ask_of_every_route(data: dict[str, Any]) -> None:
    chat = chat_of(data)
    assert chat is not None
    assert parse_query(chat["messages"]).ask == "Hello"


@pytest.mark.parametrize("data", [{}, {"input": ""}, {"input": [1, 2]}, {"messages": []}])
def test_nobody_asks(data: dict[str, Any]) -> None:
    assert chat_of(data) is None


def test_limits_and_shapes_that_the_router_knows() -> None:
    chat = chat_of(
        {
            "messages": HELLO,
            "max_tokens": True,
            "max_completion_tokens": 7,
            "response_format": {"type": "json_schema", "json_schema": {}},
            "tools": [{"name": "f"}],
        }
    )
    assert chat is not None
    assert chat["max_output_tokens"] == 7
    assert chat["response_format"] == {"type": "json_schema"}
    assert chat["tools"] == [{"name": "f"}]
    odd = chat_of({"messages": HELLO, "response_format": {"type": "grammar"}})
    assert odd == {"messages": HELLO}
