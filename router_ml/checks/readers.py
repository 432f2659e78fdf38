"""What every answer reader keeps, whoever wrote it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.reading import Reading, similarity
from router_ml.checks.require import require
from router_ml.features.query import Query
from router_ml.types.answers import Answer

ReaderCheck = Callable[[AnswerReader], None]

MAX_SECONDS: Final = 1.0
"""Of one answer, on a busy machine; the usual is a fraction of a millisecond."""
_TOOL: Final = {"name": "f", "parameters": {"properties": {"x": {"type": "int"}}}}
_CALL: Final = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
ODD_TEXTS: Final = (
    "",
    "It is 5.",
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
    '{"answer": NaN}',
    '{"answer": 1e999}',
    '{"answer": {"answer": [[[[[[[[[[[1]]]]]]]]]]]}}',
    "1 - " * 2000,
    "= 1 " * 2000,
    "(" * 150 + "1+1" + ")" * 150 + " = 2",
    "٣ + ٤ = ٧ ²³",
    "x" * 8000,
    "[f(**{'a': 1})]",
    "[f(a=-'x')]",
    "[f(x=[[[[[[[[[[1]]]]]]]]]])]",
)
"""Answers that have broken readers; layouts cap texts at 8,000 characters."""
ANSWERS: Final = (
    *(Answer(text) for text in ODD_TEXTS),
    Answer("", ({},)),
    Answer("", (_CALL,)),
    Answer("I'll look.", (_CALL, {"function": None}, {"function": {"name": None}})),
    Answer("", ({"function": {"name": "f", "arguments": "{" * 5000}},)),
    Answer("", ({"type": "tool_use", "name": "f", "input": {"x": "y" * 100_000}},)),
    Answer("", tuple(_CALL for _ in range(200)), finish_reason="length"),
)
QUERIES: Final = (Query(""), Query("Add 2 and 3."), Query("Do f of 1.", tools=(_TOOL,)))


def check_reader(reader: AnswerReader) -> None:
    """Run every check; AssertionError names what does not hold.

    Examples
    --------
    >>> from router_ml.cascade.answers.readers.numbers import NumbersReader
    >>> check_reader(NumbersReader())
    """
    for check in yield_reader_checks():
        check(reader)


def yield_reader_checks() -> Iterator[ReaderCheck]:
    """Checks one by one, for parametrised tests."""
    yield check_columns_are_distinct
    yield check_any_answer_is_read_in_bounded_time
    yield check_values_are_finite_and_as_many_as_columns
    yield check_reading_twice_is_reading_once
    yield check_an_answer_agrees_with_itself


def check_columns_are_distinct(reader: AnswerReader) -> None:
    """A name and at least one column, no two of one name."""
    require(bool(reader.name), "a reader needs a name")
    require(0 < len(reader.columns) == len(set(reader.columns)), f"columns of {reader.name}")


def check_any_answer_is_read_in_bounded_time(reader: AnswerReader) -> None:
    """No text and no call raises, or takes long."""
    for query in QUERIES:
        asked = Asked(query)
        for answer in ANSWERS:
            begin = time.perf_counter()
            reader.read(asked, answer)
            taken = time.perf_counter() - begin
            require(taken < MAX_SECONDS, f"{reader.name} took {taken:.2f} s for an answer")


def check_values_are_finite_and_as_many_as_columns(reader: AnswerReader) -> None:
    """Of answers that it reads, and of those that it does not."""
    for asked, reading in _readings(reader):
        values = reader.absent(asked) if reading is None else reading.values
        require(len(values) == len(reader.columns), f"{reader.name} gives {len(values)} values")
        row = np.asarray(values, dtype=np.float32)
        require(bool(np.isfinite(row).all()), f"{reader.name} gives {row}")


def check_reading_twice_is_reading_once(reader: AnswerReader) -> None:
    """Readers keep no state between answers, nor between queries."""
    first, again = list(_readings(reader)), list(_readings(reader))
    for (_, a), (_, b) in zip(first, again, strict=True):
        require(a == b, f"{reader.name} reads one answer in two ways: {a} and {b}")


def check_an_answer_agrees_with_itself(reader: AnswerReader) -> None:
    """Agreement is one with itself, symmetric, and in [0, 1]."""
    says = [r.says for _, r in _readings(reader) if r is not None and r.says is not None]
    for a in says:
        require(similarity(a, a) == 1.0, f"{a} does not agree with itself")
        for b in says:
            require(0.0 <= similarity(a, b) <= 1.0, f"agreement of {a} and {b}")
            require(similarity(a, b) == similarity(b, a), f"{a} and {b} agree one way")


def _readings(reader: AnswerReader) -> Iterator[tuple[Asked, Reading | None]]:
    for query in QUERIES:
        asked = Asked(query)
        for answer in ANSWERS:
            yield asked, reader.read(asked, answer)
