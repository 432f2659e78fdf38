"""A log read in chunks says what it says in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.off_policy.estimators import (
    direct_method,
    doubly_robust,
    effective_sample_size,
    ipw,
    snips,
)
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.shrinkage import shrunken_doubly_robust
from router_ml.evaluation.off_policy.units import UnitSums, unit_of
from router_ml.evaluation.streaming import (
    ScoredRows,
    StreamedComparison,
    compare_scored,
    read_scored,
)
from router_ml.types.arrays import FloatArray

N, K = 20_000, 3


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """A scored log of groups of unequal size; some labels are missing."""
    rng = np.random.default_rng(0)
    group = rng.zipf(1.6, size=N) % 4_000
    level = rng.normal(scale=0.1, size=4_000)[group][:, None]
    old = rng.dirichlet(np.ones(K), size=N)
    new = np.eye(K)[rng.integers(K, size=N)]
    behavior = 0.7 * old + 0.1
    action = (rng.random((N, 1)) > behavior.cumsum(axis=1)[:, :-1]).sum(axis=1)
    truth = np.clip(0.6 + 0.1 * np.arange(K) + level, 0.0, 1.0)
    quality = (rng.random(N) < truth[np.arange(N), action]).astype(float)
    quality[rng.random(N) < 0.4] = np.nan
    cost = np.array([0.1, 0.3, 1.0]) * 1e-3
    lists = {
        "new_probs": new,
        "old_probs": old,
        "predicted_quality": np.clip(truth + 0.05, 0.0, 1.0),
        "predicted_cost_usd": np.tile(cost * 1.1, (N, 1)),
    }
    return pa.table({
        "group_id": [f"{g:08x}" for g in group],
        "action": action,
        "propensity": behavior[np.arange(N), action],
        "label_prob": np.full(N, 0.6),
        "quality": pa.array(quality, from_pandas=True),
        "cost_usd": cost[action] * rng.uniform(0.5, 1.5, size=N),
        **{name: pa.array(list(values), pa.list_(pa.float64())) for name, values in lists.items()},
    })  # fmt: skip


@pytest.fixture(scope="module")
def scored(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three partitions in folders."""
    folder = tmp_path_factory.mktemp("scored")
    for i, begin in enumerate((0, 7_000, 7_001)):
        (folder / f"day={i}").mkdir()
        end = (7_000, 7_001, N)[i]
        pq.write_table(table.slice(begin, end - begin), folder / f"day={i}" / "part.parquet")
    return folder


@pytest.fixture(scope="module")
def whole(scored: Path) -> ScoredRows:
    """All rows at once."""
    parts = list(read_scored(scored, chunk=N))

    def column(name: str) -> Any:
        return np.concatenate([getattr(part.quality, name) for part in parts])

    log = LoggedFeedback(
        action=column("action"),
        propensity=column("propensity"),
        outcome=column("outcome"),
        label_prob=column("label_prob"),
        group_id=column("group_id"),
    )
    return ScoredRows(
        quality=log,
        cost_usd=replace(
            log,
            outcome=np.concatenate([p.cost_usd.outcome for p in parts]),
            label_prob=np.ones(N),
        ),
        unit=np.concatenate([p.unit for p in parts]),
        probs={
            player: np.concatenate([p.probs[player] for p in parts]) for player in ("new", "old")
        },
        predicted_quality=np.concatenate([p.predicted_quality for p in parts]),
        predicted_cost=np.concatenate([p.predicted_cost for p in parts]),
    )


@pytest.mark.parametrize("chunk", [777, 5_000, N])
def test_estimates_are_those_of_the_log_at_once(
    scored: Path, whole: ScoredRows, chunk: int
) -> None:
    found = compare_scored(scored, chunk=chunk)
    assert found.n == N
    for player, probs in whole.probs.items():
        log, guess = whole.quality, whole.predicted_quality
        expected = {
            "DM": direct_method(log, probs, guess),
            "IPW": ipw(log, probs),
            "SNIPS": snips(log, probs),
            "DR": shrunken_doubly_robust(log, probs, guess),
            "DR-full": doubly_robust(log, probs, guess, self_normalised=True),
        }
        values = found.values(player)
        assert set(values) == set(expected)
        for name, rows in expected.items():
            assert values[name].value == pytest.approx(rows.value, abs=1e-9), name
            assert values[name].standard_error() == pytest.approx(
                rows.standard_error(), rel=1e-9
            ), name
        weights = log.weights(probs)
        assert found.effective_sample_size(player) == pytest.approx(effective_sample_size(weights))
        assert found.largest_weight(player) == pytest.approx(weights.max())


def test_the_gate_says_the_same(scored: Path, whole: ScoredRows) -> None:
    def rows(part: str) -> list[FloatArray]:
        log = getattr(whole, part)
        guess = whole.predicted_quality if part == "quality" else whole.predicted_cost
        return [doubly_robust(log, p, guess).influence for p in whole.probs.values()]

    (new, old), (new_cost, old_cost) = rows("quality"), rows("cost_usd")
    labelled = int(whole.quality.labelled.sum())
    expected = Gate().judge(
        new - old, new_cost - old_cost, group_id=whole.unit, labelled_rows=labelled
    )
    report = compare_scored(scored, chunk=3_000).judge(Gate())
    assert report.text == expected.text
    for one, other in zip(report.checks, expected.checks, strict=True):
        assert one.estimate.value == pytest.approx(other.estimate.value, abs=1e-9)
        assert one.estimate.low == pytest.approx(other.estimate.low, abs=1e-9)


def test_bootstrap_intervals_agree_within_their_noise(
    scored: Path, whole: ScoredRows, table: pa.Table
) -> None:
    """Units are hashed groups; fewer units than groups only blur the error a little."""
    group = np.unique(np.array(table["group_id"].to_pylist()), return_inverse=True)[1]
    log = replace(whole.quality, group_id=group)
    expected = snips(log, whole.probs["new"]).bootstrap(n_resamples=2_000, random_state=1)
    for n_units in (2**16, 1_000):
        found = compare_scored(scored, n_units=n_units).estimates(n_resamples=2_000)["SNIPS"]
        assert found.value == pytest.approx(expected.value, abs=1e-9)
        assert found.n == N
        width = expected.high - expected.low
        assert found.low == pytest.approx(expected.low, abs=0.12 * width)
        assert found.high == pytest.approx(expected.high, abs=0.12 * width)


def test_parts_may_come_in_any_order_and_from_any_process(scored: Path) -> None:
    chunks = list(read_scored(scored, chunk=1_500))
    one, two, all_of_it = (StreamedComparison(N) for _ in range(3))
    for i, rows in enumerate(reversed(chunks)):
        (one if i % 2 else two).add(rows)
        all_of_it.add(chunks[i])
    one.merge(two)
    assert one.n == all_of_it.n == N
    assert one.labelled_rows == all_of_it.labelled_rows
    for name, whole in all_of_it.values().items():
        assert one.values()[name].value == pytest.approx(whole.value, abs=1e-12)
    assert one.effective_sample_size() == pytest.approx(all_of_it.effective_sample_size())


def test_units_are_the_same_for_texts_in_every_chunk() -> None:
    ids = np.array([f"{i:x}" for i in range(5_000)])
    assert (unit_of(ids)[::-1] == unit_of(ids[::-1])).all()
    share = np.bincount(unit_of(ids, 10), minlength=10) / 5_000
    assert abs(share - 0.1).max() < 5 * np.sqrt(0.09 / 5_000)


def test_sums_of_a_hundred_million_keep_their_small_parts() -> None:
    """Chunks of huge and tiny values: float64 sums over many units lose nothing that matters."""
    sums = UnitSums(["x"], n_units=64)
    rng = np.random.default_rng(0)
    exact = 0
    for _ in range(50):
        values = rng.integers(1, 10**9, size=1_000)
        exact += int(values.sum())
        sums.add({"x": values * 1e-3}, rng.integers(64, size=1_000))
    assert sums.total("x") == pytest.approx(exact * 1e-3, rel=1e-14)


def test_wrong_files_are_told(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table.drop_columns(["label_prob"]), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="lacks label_prob"):
        list(read_scored(tmp_path / "a.parquet"))
    pq.write_table(table.slice(0, 0), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="no row"):
        compare_scored(tmp_path / "b.parquet")
