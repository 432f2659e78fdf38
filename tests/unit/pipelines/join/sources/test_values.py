from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pipelines.join.sources.values import UnreadableError, convert, find, to_time
from router_ml.data.schemas import ColumnType


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("12", "bigint", 12),
        (12.0, "bigint", 12),
        (10**30, "bigint", 2**63 - 1),
        ("1e-3", "double", 0.001),
        ("True", "boolean", True),
        ("None", "boolean", None),
        (7, "string", "7"),
        ('["a", "b"]', "string[]", ["a", "b"]),
        ([1, 0.5], "double[]", [1.0, 0.5]),
        (None, "bigint", None),
    ],
)
def test_values_become_what_the_column_holds(value: Any, kind: ColumnType, expected: Any) -> None:
    assert convert(value, kind) == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (12.5, "bigint"),
        (True, "bigint"),
        ("nan", "bigint"),
        ("a lot", "double"),
        ({"a": 1}, "double"),
        ("maybe", "boolean"),
        ("a, b", "string[]"),
        (["a"], "double[]"),
    ],
)
def test_values_of_another_type_are_unreadable(value: Any, kind: ColumnType) -> None:
    with pytest.raises(UnreadableError):
        convert(value, kind)


@pytest.mark.parametrize(
    ("value", "expected", "zoneless"),
    [
        (1772366400.5, datetime(2026, 3, 1, 12, 0, 0, 500_000), False),
        ("1772366400", datetime(2026, 3, 1, 12), False),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12), False),
        ("2026-03-01 12:00:00 UTC", datetime(2026, 3, 1, 12), False),
        ("2026-03-01T12:00:00.206856085+05:30", datetime(2026, 3, 1, 6, 30, 0, 206_856), False),
        ("2026-03-01", datetime(2026, 3, 1), True),
    ],
)
def test_times_become_naive_utc_microseconds(
    value: Any, expected: datetime, zoneless: bool
) -> None:
    assert to_time(value) == (expected, zoneless)


@pytest.mark.parametrize("value", ["yesterday", True, 1e15, [2026], "2026-13-01"])
def test_what_is_no_time_is_unreadable(value: Any) -> None:
    with pytest.raises(UnreadableError, match="expected"):
        to_time(value)


def test_paths_reach_into_json_held_as_text() -> None:
    record = {"metadata": '{"router": {"propensity": 0.5}}', "response": {"choices": [{"n": 1}]}}
    assert find(record, ["metadata.router.propensity"]) == 0.5
    assert find(record, ["response.choices.0.n"]) == 1
    assert find(record, ["response.choices.3.n", "metadata.none", "none"]) is None
