"""A short run of ``make fuzz``: the document is true of whatever schemathesis thinks up."""

from __future__ import annotations

from tools.fuzz import fuzz


def test_nothing_is_found() -> None:
    assert fuzz(examples=8, coverage=False) == []
