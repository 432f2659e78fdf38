"""Rows of an answer table: the same offline and online, and nothing in them that was not seen."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.table import AnswerTable
from router_ml.errors import SchemaError
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.types.answers import Answer

TOOL = {
    "name": "geometry.area",
    "parameters": {"type": "dict", "properties": {"radius": {"type": "integer"}}},
}
QUERY = Query("Find the area of a circle with radius 5 m.", tools=(TOOL,))
CALL = {"type": "function", "function": {"name": "geometry.area", "arguments": '{"radius": 5}'}}


def test_one_query_gives_the_rows_that_the_whole_table_gives() -> None:
    queries = [QUERY, Query("2 + 3?")]
    answers: list[list[Answer | str | None]]
    answers = [["[geometry.area(radius=5)]", "no", None], ["5", "6", "#### 5"]]
    table = AnswerTable.of(queries, answers)
    seen = table.known[[0, 1]]
    rows = table.rows(np.array([0, 1]), np.array([1, 2]), seen)
    assert rows.shape == (2, table.layout.n_columns(3))
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


def test_native_calls_are_answers_and_agree_with_written_ones() -> None:
    table = AnswerTable.of(
        [QUERY], [[Answer("", (CALL,)), "[geometry.area(radius=5)]", "[geometry.area(radius=6)]"]]
    )
    assert table.known.all()
    assert table.calls.all()
    assert table.alike[0, 0, 1] == 1.0
    assert table.alike[0, 0, 2] < 1.0


def test_an_answer_as_a_log_keeps_it_is_the_answer_itself() -> None:
    answer = Answer("Let me see.", (CALL,), finish_reason="length")
    live = AnswerTable.of([QUERY], [[answer]])
    logged = AnswerTable.of([QUERY], [[answer.stored]], finish_reasons=[["length"]])
    np.testing.assert_array_equal(live.own, logged.own)


def test_lexical_and_agreement_columns_are_taken_by_name() -> None:
    layout = AnswerLayout(
        own=("empty",), lexical=(NAMES[3], NAMES[0]), agreement=("agree_best", "n_seen")
    )
    queries, answers = [Query("2 + 3?")], [["5", "five is 5", "6"]]
    full = AnswerTable.of(queries, answers)
    part = AnswerTable.of(queries, answers, layout=layout)
    one = np.array([0])
    row = part.rows(one, one, part.known[one])[0]
    assert len(row) == layout.n_columns(3) == 1 + 2 + 2 + 6
    assert row[:5].tolist() == [0.0, *full.lexical[0, [3, 0]].tolist(), 1.0, 2.0]
