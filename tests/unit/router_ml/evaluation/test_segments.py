"""Segments: what is known is found, what is luck is not called a loss."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import SchemaError
from router_ml.evaluation.segments import OTHERS, Segment, segment_table

N = 2_000


def table(
    difference: np.ndarray, labels: list[str], *, group_id: np.ndarray | None = None
) -> list[Segment]:
    other = np.full(len(difference), 0.5)
    ones = np.ones(len(difference))
    return segment_table(
        other + difference, other, 2.0 * ones, ones, by={"task": labels}, group_id=group_id
    )


def test_a_planted_loss_is_named_and_measured() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], size=N, p=[0.6, 0.3, 0.1])
    difference = np.where(labels == "c", -0.2, 0.05) + rng.normal(0, 0.2, N)
    found = {segment.name: segment for segment in table(difference, labels.tolist())}
    assert list(found) == ["a", "b", "c"]  # the largest first
    assert (found["a"].verdict, found["c"].verdict) == ("better", "worse")
    assert found["c"].difference.low < -0.2 < found["c"].difference.high
    assert found["c"].difference.value == pytest.approx(difference[labels == "c"].mean())
    assert found["a"].cost_ratio == pytest.approx(2.0)
    assert sum(segment.share for segment in found.values()) == pytest.approx(1.0)


def test_rounding_is_no_loss() -> None:
    labels = ["a", "b"] * (N // 2)
    assert {s.verdict for s in table(np.full(N, -1e-16), labels)} == {"can't tell"}


def test_without_a_difference_one_table_in_twenty_names_a_segment_at_the_most() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(100):
        labels = rng.integers(10, size=600).astype(str)
        rows = table(rng.normal(0, 0.3, 600), labels.tolist())
        wrong += any(row.verdict != "can't tell" for row in rows)
    assert wrong <= 11  # binomial(100, 0.05): above 11 once in 400


def test_small_segments_are_counted_together_and_a_kind_of_one_says_nothing() -> None:
    labels = ["en"] * 100 + ["de"] * 20 + ["fr"] * 20
    found = table(np.zeros(140), labels)
    assert [(row.name, row.rows) for row in found] == [("en", 100), (OTHERS, 40)]
    assert table(np.zeros(100), ["en"] * 100) == []


def test_rows_of_one_group_count_once() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.05, 0.3, 100)
    labels = ["a"] * 50 + ["b"] * 50
    alone = table(base, labels)
    repeated = table(
        np.repeat(base, 9), np.repeat(labels, 9).tolist(), group_id=np.repeat(np.arange(100), 9)
    )
    for one, many in zip(alone, repeated, strict=True):
        assert many.difference.half_width == pytest.approx(one.difference.half_width, rel=0.2)


def test_labels_must_be_one_a_row() -> None:
    with pytest.raises(SchemaError, match="task must have 3 labels"):
        table(np.zeros(3), ["a"])
