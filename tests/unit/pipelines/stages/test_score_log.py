"""A joined log scored in chunks is judged as the gate judges it in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.stages.score_log import write_scored
from router_ml.errors import DataError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.gate.pairing import Contender, pair
from router_ml.evaluation.streaming import compare_scored
from router_ml.policies.constant import ConstantPolicy
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.promotion_world import write_joined


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_joined(tmp_path_factory.mktemp("log"), n=2_000)


def router(folder: Path, candidate: str) -> Runtime:
    make_bundle(folder, policy=ConstantPolicy(candidate=candidate))
    return Runtime.from_folder(folder)


def test_chunks_are_judged_as_the_whole(joined: Path, tmp_path: Path) -> None:
    new, old = router(tmp_path / "a", "candidate-1"), router(tmp_path / "b", "candidate-0")
    seen: list[int] = []
    path = write_scored(
        joined, new, old, tmp_path / "scored.parquet", chunk=300, progress=seen.append
    )
    found = compare_scored(path)
    assert len(seen) > 2
    assert found.n == sum(seen)
    rows = pair(Contender(new), Contender(old), joined=joined, matrix=None)
    assert found.n == len(rows.quality_difference)
    report = found.judge(Gate())
    expected = Gate().judge(
        rows.quality_difference,
        rows.cost_difference,
        group_id=rows.group_id,
        labelled_rows=rows.labelled_rows,
    )
    assert report.labelled_rows == expected.labelled_rows
    for one, other in zip(report.checks, expected.checks, strict=True):
        assert one.estimate.value == pytest.approx(other.estimate.value, rel=1e-3)
        assert one.estimate.low == pytest.approx(other.estimate.low, rel=0.02)
    assert np.isfinite(found.estimates(n_resamples=50)["DR"].half_width)


def test_what_cannot_be_scored_is_told(joined: Path, tmp_path: Path) -> None:
    new = router(tmp_path / "a", "candidate-1")
    with pytest.raises(DataError, match="no request in its other split"):
        write_scored(joined, new, new, tmp_path / "scored.parquet", split="other")
    blind = write_joined(tmp_path / "log", n=200, propensities=False)
    with pytest.raises(DataError, match="propensity must be known of every request"):
        write_scored(blind, new, new, tmp_path / "scored.parquet")
