"""Numbers: the one an answer ends on, and whether the calculations hold."""

from __future__ import annotations

import numpy as np

from router_ml.cascade.answers.arithmetic import evaluate
from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.readers.numbers import NumbersReader, final_number
from router_ml.features.query import Query
from router_ml.types.answers import Answer


def column(text: str, name: str, query: Query) -> float:
    reader = NumbersReader()
    reading = reader.read(Asked(query), Answer(text))
    assert reading is not None
    return reading.values[reader.columns.index(name)]


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
