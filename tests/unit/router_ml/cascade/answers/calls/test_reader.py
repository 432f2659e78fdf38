"""Tool calls, native or written: one answer in any notation, and every flaw in its column."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.reading import Statement, similarity
from router_ml.features.query import Query
from router_ml.types.answers import Answer

TOOL = {
    "name": "geometry.area",
    "description": "Area of a circle",
    "parameters": {
        "type": "dict",
        "properties": {
            "radius": {"type": "integer"},
            "unit": {"type": "string", "enum": ["cm", "m"], "default": "cm"},
        },
        "required": ["radius"],
    },
}
QUERY = Query("Find the area of a circle with radius 5 m.", tools=(TOOL,))


ARGUMENTS: dict[str, Any] = {"radius": 5, "unit": "m"}
LAYOUT = AnswerLayout()


def native(name: str = "geometry.area", **arguments: object) -> Answer:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Answer("", ({"id": "call_1", "type": "function", "function": function},))


def says(answer: Answer | str, query: Query = QUERY) -> Statement:
    answer = Answer(answer) if isinstance(answer, str) else answer
    return LAYOUT.read(Asked(query), answer)[1]


def column(answer: Answer | str, name: str, query: Query = QUERY) -> float:
    answer = Answer(answer) if isinstance(answer, str) else answer
    own, _ = LAYOUT.read(Asked(query), answer)
    return float(own[LAYOUT.own.index(name)])


@pytest.mark.parametrize(
    "answer",
    [
        "[geometry.area(radius=5, unit='m')]",
        "geometry.area(unit='m', radius=5)",
        "[{'name': 'geometry.area', 'parameters': {'radius': 5, 'unit': 'm'}}]",
        '[{"name": "geometry_area", "arguments": {"radius": 5, "unit": "m"}}]',
        '[{"geometry_area": "{\\"radius\\": 5, \\"unit\\": \\"m\\"}"}]',
        '{"tool_calls": [{"function": {"name": "geometry.area", '
        '"arguments": "{\\"radius\\": 5.0, \\"unit\\": \\"M\\"}"}}]}',
        "```python\n[geometry.area(radius=5, unit='m')]\n```",
        '```json\n[{"name": "geometry_area", "arguments": {"radius": 5, "unit": "m"}}]\n```',
        native(radius=5, unit="m"),
        native("geometry_area", unit="M", radius=5.0),
        Answer("", ({"type": "tool_use", "name": "geometry.area", "input": ARGUMENTS},)),
        Answer("I call the tool.", native(**ARGUMENTS).tool_calls),
    ],
)
def test_one_call_in_any_notation_is_the_same_answer(answer: Answer | str) -> None:
    assert similarity(says("[geometry.area(radius=5, unit='m')]"), says(answer)) == 1.0


def test_an_argument_equal_to_its_default_makes_no_difference() -> None:
    bare = says("[geometry.area(radius=5)]")
    assert similarity(bare, says(native(radius=5, unit="cm"))) == 1.0
    assert similarity(bare, says(native(radius=5, unit="m"))) < 1.0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[geometry.volume(radius=5)]", "unknown_functions"),
        ("[geometry.area(unit='m')]", "missing_required"),
        ("[geometry.area(radius=5, colour='red')]", "unknown_parameters"),
        ("[geometry.area(radius='5')]", "wrong_types"),
        ("[geometry.area(radius=5, unit='km')]", "outside_enum"),
        ("[geometry.area(radius=7)]", "numbers_not_said"),
        ("[geometry.area(radius=5, unit='your_unit')]", "placeholders"),
        ("[geometry.area(5)]", "positional"),
        ("[geometry.area(radius=r * 2)]", "expressions"),
        ("None of the functions can be used.", "refuses"),
        ("None of the functions can be used.", "text_despite_tools"),
        ("[geometry.area(radius=5", "unbalanced"),
    ],
)
def test_every_flaw_has_its_column(text: str, name: str) -> None:
    assert column(text, name) >= 1.0
    assert column("[geometry.area(radius=5, unit='m')]", name) == 0.0


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (native("geometry.volume", radius=5), "unknown_functions"),
        (native(unit="m"), "missing_required"),
        (native(radius=5, colour="red"), "unknown_parameters"),
        (native(radius="5"), "wrong_types"),
        (native(radius=5, unit="km"), "outside_enum"),
        (native(radius=7), "numbers_not_said"),
    ],
)
def test_native_calls_are_checked_as_written_ones_are(answer: Answer, name: str) -> None:
    assert column(answer, name) >= 1.0
    assert column(native(radius=5, unit="m"), name) == 0.0


def test_a_native_call_is_neither_empty_nor_text() -> None:
    answer = native(radius=5, unit="m")
    assert column(answer, "empty") == 0.0
    assert column(answer, "text_despite_tools") == 0.0
    assert column(answer, "clean_calls") == 1.0
    written = json.dumps([{"name": "geometry.area", "arguments": ARGUMENTS}], separators=(",", ":"))
    assert (
        LAYOUT.read(Asked(QUERY), answer)[0].tolist()
        == LAYOUT.read(Asked(QUERY), Answer(written))[0].tolist()
    )


def test_an_object_with_a_name_is_data_where_no_tools_were_on_offer() -> None:
    person = '{"name": "Ada", "age": 36}'
    assert says(person, Query("Who wrote it? Answer in JSON.")).kind == "json"
    called = '{"name": "f", "arguments": {"x": 1}}'
    assert says(called, Query("Call f.")).kind == "calls"


def test_prose_is_no_call() -> None:
    assert says("I would call f (but not now).").kind == "no call"
    assert column("I would call f (but not now).", "calls") == 0.0


@pytest.mark.parametrize(
    "tool",
    [
        {},
        {"name": None, "parameters": 3},
        {"name": "f", "parameters": {"properties": [], "required": "x"}},
        {"name": "f", "parameters": {"properties": {"x": None}, "required": [1, None]}},
        {"name": "f", "parameters": {"properties": {"x": {"type": ["a"], "enum": [[]]}}}},
    ],
)
def test_broken_tool_descriptions_do_no_harm(tool: dict[str, object]) -> None:
    query = Query("Do f.", tools=(tool,))
    assert says("[f(x=1)]", query).kind == says(native("f", x=1), query).kind == "calls"
