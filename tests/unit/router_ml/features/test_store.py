"""Estimators fitted on features from disk are those fitted in memory, and need little of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_ml.checks.examples import example_batch, example_candidates, example_labels
from router_ml.errors import SchemaError
from router_ml.estimators.registry import make_estimator
from router_ml.features.store import read_features, write_features
from router_ml.types.queries import QueryBatch, Tokens

STREAMING = ("linear", "token_weights", "cluster_table", "lightgbm", "constant")


def parts(batch: QueryBatch, rows: int) -> Iterator[QueryBatch]:
    for _, part in batch.chunks(rows):
        yield part


def test_what_was_written_is_read(tmp_path: Path) -> None:
    batch = example_batch(101)
    assert write_features(tmp_path / "features", parts(batch, 17)) == 101
    read = read_features(tmp_path / "features")
    assert read.on_disk
    assert not batch.on_disk
    for name in ("lexical", "embedding"):
        np.testing.assert_array_equal(getattr(read, name), getattr(batch, name))
    np.testing.assert_array_equal(read.tokens.flat, batch.tokens.flat)
    np.testing.assert_array_equal(read.tokens.offsets, batch.tokens.offsets)


def test_wrong_folders_and_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="expected features in"):
        read_features(tmp_path)
    with pytest.raises(SchemaError, match="no batch"):
        write_features(tmp_path, [])
    wide = example_batch(5, n_dims=9)
    with pytest.raises(SchemaError, match="embedding has 8 columns in earlier batches, got 9"):
        write_features(tmp_path, [example_batch(5), wide])


@pytest.mark.parametrize("share", [1.0, 0.4], ids=["full information", "a log"])
@pytest.mark.parametrize("name", STREAMING)
def test_fits_from_disk_are_those_in_memory(
    name: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBatch.chunks, "__defaults__", (64,))  # several chunks of 300 rows
    batch, candidates = example_batch(300), example_candidates(4)
    Y = example_labels(batch, 4)
    Y[np.random.default_rng(3).random(Y.shape) > share] = np.nan
    write_features(tmp_path, parts(batch, 50))
    wanted = make_estimator({"name": name}).fit(batch, Y, candidates=candidates)
    kept = read_features(tmp_path)
    groups = np.arange(300)
    got = make_estimator({"name": name}).fit(kept, Y, candidates=candidates, groups=groups)
    np.testing.assert_allclose(
        got.predict(batch, candidates), wanted.predict(batch, candidates), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["linear", "token_weights"])
def test_a_fit_from_disk_does_not_hold_the_features(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBatch.chunks, "__defaults__", (1_000,))
    n, n_dims = 40_000, 256
    rng = np.random.default_rng(0)

    def written() -> Iterator[QueryBatch]:
        for _ in range(20):
            rows = n // 20
            tokens = Tokens(rng.integers(1, 30_000, 60 * rows), np.arange(rows + 1) * 60)
            numbers: Any = rng.standard_normal((rows, n_dims + 30)).astype(np.float32)
            nothing = ("",) * rows
            yield QueryBatch(nothing, nothing, tokens, numbers[:, n_dims:], numbers[:, :n_dims])

    write_features(tmp_path, written())
    batch = read_features(tmp_path)
    Y = np.clip(batch.embedding[:, :3] * 0.2 + 0.5, 0.0, 1.0).astype(float)
    if name == "token_weights":
        estimator = make_estimator({"name": name, "max_iterations": 2})
    else:
        estimator = make_estimator({"name": name})
    tracemalloc.start()
    estimator.fit(batch, Y, candidates=example_candidates(3), groups=np.arange(n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    in_float64 = 8 * n * (n_dims + 30)
    assert peak < {"linear": 0.4, "token_weights": 0.7}[name] * in_float64
    assert estimator.predict(batch.take(np.arange(5)), example_candidates(3)).shape == (5, 3)
