from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.join.sources.files import Record
from pipelines.join.sources.labels import CANONICAL, label_rows


@pytest.mark.parametrize(
    ("given", "value"),
    [("true", 1.0), ("True", 1.0), (" FALSE", 0.0), (True, 1.0), (False, 0.0), ("1.0", 1.0)],
)
def test_verdicts_are_numbers(given: object, value: float) -> None:
    (row,) = label_rows([Record(2, b"", {"value": given})], CANONICAL, Path("a"))
    assert row["value"] == value
    assert "problem" not in row


@pytest.mark.parametrize("given", ["yes", "0,5", "100 percent", "good", [1]])
def test_other_words_are_unreadable(given: object) -> None:
    (row,) = label_rows([Record(2, b"", {"value": given})], CANONICAL, Path("a"))
    assert row["problem"] == "unreadable_value"


def test_a_percentage_is_its_number_for_the_label_range_to_scale() -> None:
    (row,) = label_rows([Record(2, b"", {"value": "85%"})], CANONICAL, Path("a"))
    assert row["value"] == 85.0
