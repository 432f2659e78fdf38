"""Structured output: what it comes to counts, the explanation does not."""

from __future__ import annotations

import pytest

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.reading import Statement, similarity
from router_ml.features.query import Query
from router_ml.types.answers import Answer

QUERY = Query("How many apples has Tom? Give reasoning and answer as JSON.")
LONG = "he has twelve and buys thirty more of them at the market on a rainy Sunday"


def says(text: str, query: Query = QUERY) -> Statement:
    return AnswerLayout().read(Asked(query), Answer(text))[1]


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "12 + 30 = 42", "answer": "42"}',
        '{"reasoning": "30 more than 12", "answer": 42}',
        '{"Final_Answer": "42 apples"}',
        '{"answer": "$42.00"}',
        'Here you are:\n```json\n{"reasoning": "line\nbreak", "answer": "42"}\n```',
        'Sure. {"answer": "42"} Anything else?',
        "12 + 30 = 42. #### 42",
    ],
)
def test_one_number_in_any_notation_is_the_same_answer(text: str) -> None:
    assert similarity(says('{"answer": 42}'), says(text)) == 1.0


def test_other_conclusions_do_not_agree() -> None:
    one = says('{"answer": "[1, 2]"}')
    assert similarity(one, says('{"answer": "[1,2]"}')) == 1.0
    assert similarity(one, says('{"answer": "[1, 3]"}')) < 1.0
    assert similarity(says('{"answer": "\'-1\'"}'), says('{"answer": "\'1\'"}')) < 1.0
    assert similarity(says('{"answer": -1}'), says('{"answer": 1}')) < 1.0
    assert similarity(says('{"answer": "\\\\frac{1}{2}"}'), says('{"answer": "12"}')) == 0.0


def test_without_a_conclusion_fields_count_and_prose_does_not() -> None:
    a = says(f'{{"name": "Tom", "apples": 42, "note": "{LONG}"}}')
    b = says(f'{{"apples": 42.0, "name": "tom", "note": "{LONG} again"}}')
    c = says(f'{{"name": "Tom", "apples": 41, "note": "{LONG}"}}')
    assert a.kind == "json"
    assert similarity(a, b) == 1.0
    assert 0.0 < similarity(a, c) < 1.0


def test_broken_json_is_left_to_others() -> None:
    assert says('{"answer": 42').kind == "number"
    assert says("{} 42").kind == "number"


def test_where_tools_were_on_offer_json_is_no_call() -> None:
    query = Query("Add 12 and 30.", tools=({"name": "add"},))
    assert says('{"answer": 42, "unit": "apples"}', query).kind == "no call"
