"""The gate on a whole log, every prompt played by routers made without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import JoinConfig, PromoteConfig, TrainConfig
from pipelines.cross_pairing import pair_cross_fitted
from pipelines.join import run as join
from pipelines.tables import read_outcomes
from router_ml.errors import ConfigError


@pytest.fixture(scope="module")
def joined(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return join(
        JoinConfig(
            requests=(str(small_world / "requests.jsonl.gz"),),
            labels=(str(small_world / "labels.csv"),),
            prices=(str(small_world / "prices.json"),),
            output=tmp_path_factory.mktemp("cross") / "joined",
        )
    )


def _config(joined: Path, cache: Path, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "joined": joined,
        "output": joined.parent / "unused",
        "cache": cache,
        "quality": {"name": "linear"},
        **changes,
    }
    return TrainConfig(**values)


def test_a_router_against_itself_differs_by_nothing(joined: Path, encoder_cache: Path) -> None:
    config = _config(joined, encoder_cache)
    rows = pair_cross_fitted(config, config, joined)
    assert len(rows.quality_difference) == len(read_outcomes(joined))
    assert np.abs(rows.quality_difference).max() < 1e-12
    assert np.abs(rows.cost_difference).max() < 1e-12
    assert rows.shift.moved == pytest.approx(0.0, abs=1e-9)
    assert "cross-fitted in 5 folds" in rows.basis


def test_every_label_of_the_log_counts_and_savings_show(joined: Path, encoder_cache: Path) -> None:
    config = _config(
        joined, encoder_cache, policy={"name": "budget", "cost_share": 0.5, "direct": True}
    )
    rows = pair_cross_fitted(config, None, joined)
    labelled = read_outcomes(joined)["quality"].notna().sum()
    assert rows.labelled_rows == labelled
    assert rows.opponent
    assert rows.cost_difference.mean() < 0.0
    assert not (joined.parent / "unused").exists()


def test_cross_fitting_needs_a_log_and_no_matrix(joined: Path) -> None:
    with pytest.raises(ConfigError, match="cross_fit judges on a joined log"):
        PromoteConfig(cross_fit=True)
    with pytest.raises(ConfigError, match="no matrix"):
        PromoteConfig(cross_fit=True, joined=joined, matrix=joined / "matrix.parquet")
