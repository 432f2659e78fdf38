"""Arguments of calls, cut to what is safe to compare."""

from __future__ import annotations

from router_ml.cascade.answers.calls.call import tame
from router_ml.cascade.answers.table import AnswerTable
from router_ml.features.query import Query

TEXTS = [f"item {i}" for i in range(10)]


def test_a_set_of_texts_has_one_order_in_every_process() -> None:
    """Iterating over one depends on PYTHONHASHSEED: agreement would differ between workers."""
    assert tame(set(TEXTS)) == TEXTS
    assert tame({"x": (2, {"b", "a"})}) == {"x": [2, ["a", "b"]]}


def test_a_set_agrees_with_the_list_that_says_the_same() -> None:
    written = "[f(x={" + ", ".join(f'"{text}"' for text in reversed(TEXTS)) + "})]"
    listed = f"[f(x={TEXTS})]"
    table = AnswerTable.of([Query("f", tools=({"name": "f"},))], [[written, listed]])
    assert table.alike[0, 0, 1] == 1.0
