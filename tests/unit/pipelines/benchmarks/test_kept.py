"""Kept predictions: the same numbers, no second fit, and nothing stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.benchmarks.kept import KeptEstimator, kept
from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import ConfigError
from router_ml.estimators.linear import LinearEstimator
from router_ml.estimators.registry import make_estimator
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch

STACK = {"name": "stacked", "members": {"linear": {"name": "linear"}, "knn": {"name": "knn"}}}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every fit of a linear estimator, in order."""
    rows: list[int] = []
    fit = LinearEstimator.fit

    def counted(
        self: LinearEstimator, queries: QueryBatch, Y: FloatArray, **given: Any
    ) -> LinearEstimator:
        rows.append(len(queries))
        return fit(self, queries, Y, **given)

    monkeypatch.setattr(LinearEstimator, "fit", counted)
    return rows


def test_a_stack_is_the_same_and_its_members_are_fitted_once(
    tmp_path: Path, fits: list[int]
) -> None:
    queries, table = example_batch(120), example_candidates(3)
    Y = example_labels(queries, 3)
    plain = make_estimator(STACK).fit(queries, Y, candidates=table).predict(queries, table)
    fits.clear()
    for again in (False, True):
        estimator = kept(STACK, tmp_path, "key").fit(queries, Y, candidates=table)
        np.testing.assert_array_equal(estimator.predict(queries, table), plain)
        assert len(fits) == (0 if again else 5)  # four inner folds and all
        fits.clear()


def test_other_labels_rows_weights_or_code_are_computed_anew(
    tmp_path: Path, fits: list[int]
) -> None:
    queries, table = example_batch(60), example_candidates(2)
    Y = example_labels(queries, 2)
    weight = np.ones_like(Y)

    def ask(key: str, Y: np.ndarray, weight: np.ndarray) -> None:
        estimator = kept({"name": "linear"}, tmp_path, key)
        estimator.fit(queries, Y, candidates=table, sample_weight=weight).predict(queries, table)

    ask("1", Y, weight)
    other = Y.copy()
    other[0] = 1.0 - other[0]
    ask("1", other, weight)
    ask("1", Y, 2.0 * weight)
    ask("2", Y, weight)
    assert len(fits) == 4
    ask("1", Y, weight)
    assert len(fits) == 4


def test_it_is_a_device_of_the_benchmark_only(tmp_path: Path) -> None:
    queries, table = example_batch(30), example_candidates(2)
    estimator = kept({"name": "linear"}, tmp_path, "key")
    assert isinstance(estimator, KeptEstimator)
    estimator.fit(queries, example_labels(queries, 2), candidates=table)
    with pytest.raises(ConfigError, match="no part of a bundle"):
        estimator.get_state()


def test_a_student_is_taught_by_a_kept_teacher(tmp_path: Path, fits: list[int]) -> None:
    spec = {"name": "distilled", "teacher": STACK, "student": {"name": "linear"}, "n_folds": 2}
    queries, table = example_batch(80), example_candidates(2)
    Y = example_labels(queries, 2)
    plain = make_estimator(spec).fit(queries, Y, candidates=table).predict(queries, table)
    for folder in ("one", "other"):  # where it is kept is no part of what it is
        estimator = kept(spec, tmp_path / folder, "key").fit(queries, Y, candidates=table)
        np.testing.assert_array_equal(estimator.predict(queries, table), plain)
    one, other = ({p.name for p in (tmp_path / f).iterdir()} for f in ("one", "other"))
    assert one == other
