"""Messages and tools as other protocols and older versions write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dirty_log import request
from tests.small_join import joined, rejected


def test_the_responses_api_s_input_is_read(tmp_path: Path) -> None:
    steps = [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Oslo?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "3"},
    ]
    rows = [
        request(0, messages="Name three rivers"),
        request(1, messages=steps),
        request(2, messages={}, proxy_server_request={"input": "Name three rivers"}),
        request(3, messages='{"pasted": "JSON"}'),
        request(4, messages=[{"type": "message", "content": "who speaks?"}]),
    ]
    report, found = joined(tmp_path, rows)
    assert [row["query"] for row in found.values()] == [
        "Name three rivers", "Weather in Oslo?", "Name three rivers", '{"pasted": "JSON"}'
    ]  # fmt: skip
    assert rejected(report) == {"malformed_messages": 1}


@pytest.mark.parametrize(
    "parameters",
    [
        {"functions": [{"name": "w", "description": "Weather"}]},
        {"tools": [], "functions": [{"name": "w", "description": "Weather"}]},
        {"tools": [{"functionDeclarations": [{"name": "w", "description": "Weather"}]}]},
        {"tools": [{"type": "function", "name": "w", "description": "Weather"}]},
    ],
)
def test_tools_have_older_and_other_names(tmp_path: Path, parameters: dict[str, Any]) -> None:
    _, found = joined(tmp_path, [request(0, model_parameters=parameters)])
    (tool,) = json.loads(found["req-00000"]["tools"])
    assert (tool["name"], tool["description"]) == ("w", "Weather")
