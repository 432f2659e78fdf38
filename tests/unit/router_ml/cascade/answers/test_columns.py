from __future__ import annotations

import time

import numpy as np
import pytest

from router_ml.cascade.answers.arithmetic import evaluate, final_number
from router_ml.cascade.answers.calls import parse_calls
from router_ml.cascade.answers.columns import OWN_NAMES, AnswerFacts, QueryFacts, similarity
from router_ml.cascade.answers.table import AnswerTable, n_columns
from router_ml.errors import SchemaError
from router_ml.features.query import Query

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


def column(text: str, name: str, query: Query = QUERY) -> float:
    own = AnswerFacts.of(QueryFacts.of(query), text).own
    return float(own[OWN_NAMES.index(name)])


@pytest.mark.parametrize(
    "text",
    [
        "[geometry.area(radius=5, unit='m')]",
        "geometry.area(unit='m', radius=5)",
        '[{"name": "geometry_area", "arguments": {"radius": 5, "unit": "m"}}]',
        '[{"geometry_area": "{\\"radius\\": 5, \\"unit\\": \\"m\\"}"}]',
        '{"tool_calls": [{"function": {"name": "geometry.area", '
        '"arguments": "{\\"radius\\": 5.0, \\"unit\\": \\"M\\"}"}}]}',
        "```python\n[geometry.area(radius=5, unit='m')]\n```",
    ],
)
def test_one_call_in_any_notation_is_the_same_answer(text: str) -> None:
    facts = QueryFacts.of(QUERY)
    plain = AnswerFacts.of(facts, "[geometry.area(radius=5, unit='m')]")
    assert similarity(plain, AnswerFacts.of(facts, text)) == 1.0


def test_an_argument_equal_to_its_default_makes_no_difference() -> None:
    facts = QueryFacts.of(QUERY)
    bare = AnswerFacts.of(facts, "[geometry.area(radius=5)]")
    assert similarity(bare, AnswerFacts.of(facts, "[geometry.area(radius=5, unit='cm')]")) == 1.0
    assert similarity(bare, AnswerFacts.of(facts, "[geometry.area(radius=5, unit='m')]")) < 1.0


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


def test_written_arithmetic_is_checked() -> None:
    query = Query("A shop sells 3 boxes of 12 eggs and 5 loose eggs. How many?")
    right = "3 x 12 = 36 eggs. 36 + 5 = 41. #### 41"
    wrong = "3 x 12 = 38 eggs. 38 + 5 = 43. #### 43"
    assert column(right, "equations", query) == 2.0
    assert column(right, "equations_wrong", query) == 0.0
    assert column(wrong, "equations_wrong", query) == 1.0
    assert column("3 x 12 = 36. #### 36", "query_numbers_unused", query) == 1.0


def test_chained_equations_and_units_are_read() -> None:
    assert evaluate("2 * (3 + 4) - 50% * 8") == 10.0
    assert np.isnan(evaluate("5"))
    assert np.isnan(evaluate("2 +"))
    assert np.isnan(evaluate("1 / 0"))
    assert final_number("First 12, then $1,250.50.") == 1250.5
    assert np.isnan(final_number("none"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\ud800",
        "[" * 5000,
        "(" * 300 + ")" * 300,
        "f(" * 2000,
        "{" * 3000,
        '{"a":' * 3000,
        "9" * 5000,
        "[f(x=" + "9" * 4400 + ")]",
        "[f(x=1e999)]",
        "[f(x=0x" + "f" * 6000 + ")]",
        "[f(x='²³', y=b'1', z={1: 2j})]",
        '[{"name": "f", "arguments": {"x": NaN, "y": -Infinity}}]',
        "1 - " * 2000,
        "= 1 " * 2000,
        "(" * 150 + "1+1" + ")" * 150 + " = 2",
        "٣ + ٤ = ٧ ²³",
        "x" * 1_000_000,
        "[f(**{'a': 1})]",
        "[f(a=-'x')]",
        "[f(x=[[[[[[[[[[1]]]]]]]]]])]",
    ],
)
def test_any_text_gives_finite_features_in_bounded_time(text: str) -> None:
    begin = time.perf_counter()
    for query in (QUERY, Query("")):
        own = AnswerFacts.of(QueryFacts.of(query), text).own
        assert own.shape == (len(OWN_NAMES),)
        assert np.isfinite(own).all()
    assert time.perf_counter() - begin < 1.0


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
    assert np.isfinite(AnswerFacts.of(QueryFacts.of(query), "[f(x=1)]").own).all()


def test_prose_is_no_call() -> None:
    assert parse_calls("I would call f (but not now).").calls == ()


def test_one_query_gives_the_rows_that_the_whole_table_gives() -> None:
    queries = [QUERY, Query("2 + 3?")]
    answers = [["[geometry.area(radius=5)]", "no", None], ["5", "6", "#### 5"]]
    table = AnswerTable.of(queries, answers)
    seen = table.known[[0, 1]]
    rows = table.rows(np.array([0, 1]), np.array([1, 2]), seen)
    assert rows.shape == (2, n_columns(3))
    for i, k in ((0, 1), (1, 2)):
        alone = AnswerTable.of([queries[i]], [answers[i]])
        row = alone.rows(np.array([0]), np.array([k]), alone.known[[0]])
        np.testing.assert_array_equal(row[0], rows[i])


def test_what_was_not_seen_does_not_leak_into_a_row() -> None:
    table = AnswerTable.of([Query("2 + 3?")], [["5", "6", "7"]])
    other = AnswerTable.of([Query("2 + 3?")], [["5", "6", "5"]])
    first, seen = np.array([0]), np.array([[False, True, False]])
    np.testing.assert_array_equal(table.rows(first, first, seen), other.rows(first, first, seen))


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(SchemaError, match="one length"):
        AnswerTable.of([QUERY, QUERY], [["a"], ["a", "b"]])
