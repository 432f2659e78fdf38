"""Every answer reader that a bundle can list keeps every promise."""

from __future__ import annotations

import pytest

from router_ml.cascade.answers.registry import READERS
from router_ml.checks.readers import ReaderCheck, yield_reader_checks


@pytest.mark.parametrize("check", list(yield_reader_checks()), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", READERS)
def test_reader(name: str, check: ReaderCheck) -> None:
    check(READERS[name])
