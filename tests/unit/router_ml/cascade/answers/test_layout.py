"""Columns by name: of this release, of bundles from before readers had names, and of nobody."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.reading import Reading, Statement
from router_ml.cascade.answers.registry import DEFAULT_READERS, READERS, register
from router_ml.errors import BundleError, ConfigError
from router_ml.features.query import Query
from router_ml.types.answers import Answer

QUERY = Query("A shop sells 3 boxes of 12 eggs and 5 loose eggs. How many?")


class Haiku(AnswerReader):
    """Three lines say what they say."""

    name = "haiku"
    columns = ("lines", "haiku")

    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        lines = answer.text.splitlines()
        if len(lines) != 3:
            return None
        return Reading((3.0, 1.0), Statement("haiku", answer.text), final=True)


@pytest.fixture
def haiku() -> Iterator[AnswerReader]:
    reader = Haiku()
    register(reader)
    yield reader
    del READERS[reader.name]


def test_a_layout_is_what_it_writes() -> None:
    layout = AnswerLayout(readers=("numbers", "text"), own=("refuses", "final_given"))
    again = AnswerLayout.from_dict(layout.to_dict())
    assert again == layout
    assert again != AnswerLayout()
    asked, answer = Asked(QUERY), Answer("41 eggs.")
    np.testing.assert_array_equal(again.read(asked, answer)[0], layout.read(asked, answer)[0])


def test_columns_of_older_bundles_are_found_by_name() -> None:
    """Two of them were called ``query_numbers``: of words and digits, and of digits alone."""
    spec = {"columns": ["final_given", "query_numbers", "empty", "query_numbers", "n_seen"]}
    layout = AnswerLayout.from_dict(spec)
    assert "json" not in layout.readers
    row, _ = layout.read(Asked(Query("Add three and 4.")), Answer("7"))
    assert row.tolist() == [1.0, 2.0, 0.0, 1.0]
    assert layout.agreement == ("n_seen",)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"columns": ["empty", "of_tomorrow"]}, "of_tomorrow"),
        ({"columns": ["empty"], "readers": ["text", "sonnet"]}, "sonnet"),
        ({"columns": ["equations"], "readers": ["text"]}, "equations"),
        ({"columns": ["empty"], "lexical": ["of_tomorrow"]}, "of_tomorrow"),
    ],
)
def test_what_this_release_lacks_is_refused_by_name(spec: dict[str, object], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        AnswerLayout.from_dict(spec)


def test_the_first_reader_that_says_something_is_believed(haiku: AnswerReader) -> None:
    poem = Answer("5 frogs\njump\n7 ponds")
    layout = AnswerLayout(readers=(haiku.name, "numbers", "text"))
    row, says = layout.read(Asked(QUERY), poem)
    seen = dict(zip(layout.own, row.tolist(), strict=True))
    assert says.kind == "haiku"
    assert (seen["haiku"], seen["final_given"], seen["log_lines"] > 1.0) == (1.0, 0.0, True)
    other = AnswerLayout(readers=("numbers", haiku.name, "text")).read(Asked(QUERY), poem)[1]
    assert other.kind == "number"


def test_a_registered_reader_is_listed_by_bundles(haiku: AnswerReader) -> None:
    spec = AnswerLayout(readers=(*DEFAULT_READERS, haiku.name)).to_dict()
    assert AnswerLayout.from_dict(spec).readers[-1] == haiku.name


def test_readers_take_no_other_readers_names() -> None:
    class Taken(Haiku):
        name = "text"

    class Partly(Haiku):
        name = "partly"
        columns = ("lines", "refuses")

    for reader in (Taken(), Partly()):
        with pytest.raises(ConfigError):
            register(reader)
    assert "partly" not in READERS


def test_a_long_answer_is_capped() -> None:
    layout = AnswerLayout()
    short, long = (layout.read(Asked(QUERY), Answer("x" * n))[0] for n in (8000, 1_000_000))
    np.testing.assert_array_equal(short, long)
