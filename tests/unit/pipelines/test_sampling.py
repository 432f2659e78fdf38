from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.artifacts import read_training_table
from pipelines.benchmarks.join import write_log
from pipelines.sampling import sample_outcomes
from pipelines.stages.join import run


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(write_log(tmp_path_factory.mktemp("log"), n=20_000))


def test_a_sample_stands_for_the_log(joined: Path, tmp_path: Path) -> None:
    whole, candidates = read_training_table(joined, "train")
    sample, same = read_training_table(joined, "train", most=4_000)
    assert same.names == candidates.names
    drawn = sample_outcomes(joined / "outcomes.parquet", "train", 4_000, tmp_path)
    assert drawn is not None
    assert drawn[1] == 4_000 / len(whole)
    assert len(sample) == len(drawn[0]) == pytest.approx(4_000, abs=4 * np.sqrt(4_000))
    assert set(sample.split) == {"train"}
    assert set(sample.request_id) < set(whole.request_id)
    assert sorted(sample.time) == list(sample.time)
    # Totals over the probability are those of the log, within four standard errors.
    probability = drawn[1]
    for mine, all_ in (
        ((sample.served == 3).sum(), (whole.served == 3).sum()),
        (np.isfinite(sample.quality).sum(), np.isfinite(whole.quality).sum()),
        ((~sample.succeeded).sum(), (~whole.succeeded).sum()),
    ):
        error = np.sqrt(all_ * (1 - probability) / probability)
        assert abs(mine / probability - all_) < 4 * error
    fewer, _ = read_training_table(joined, "train", most=1_000)
    assert set(fewer.request_id) < set(sample.request_id)
    other = sample_outcomes(joined / "outcomes.parquet", "train", 4_000, tmp_path, salt="other")
    assert other is not None
    assert set(other[0]["request_id"].to_pylist()) != set(sample.request_id)


def test_a_log_that_is_short_is_read_whole(joined: Path) -> None:
    whole, _ = read_training_table(joined, "train")
    same, _ = read_training_table(joined, "train", most=len(whole))
    assert same.request_id == whole.request_id
    assert not list(joined.glob("sample-*"))
