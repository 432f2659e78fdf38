"""A search: what it finds, that it goes on, what it drops, and that its own score is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

import router_ml as rm
from router_ml.data.groups import hash_folds
from router_ml.errors import ConfigError, DataError


def few(trial: optuna.Trial) -> dict[str, Any]:
    """Two estimators that are fitted at once."""
    return {"name": trial.suggest_categorical("name", ["constant", "linear"])}


@pytest.fixture(autouse=True)
def _cache(encoder_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_ML_CACHE", str(encoder_cache))


def test_it_says_how_much_the_choice_flatters_and_goes_on(tmp_path: Path) -> None:
    log = rm.sample_log(matrix=True)
    options: dict[str, Any] = {"space": few, "outer_folds": 2, "folds": 2, "output": tmp_path}
    found = rm.search(log, n_trials=3, **options)
    gain, optimism = found.report["gain"], found.report["optimism"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert optimism["low"] <= optimism["value"] <= optimism["high"]
    assert found.trials.groupby("search").size().to_dict() == {
        "whole": 3, "without fold 0": 3, "without fold 1": 3,
    }  # fmt: skip
    first = found.trials
    again = rm.search(log, n_trials=4, **options)
    assert again.trials.groupby("search").size().tolist() == [4, 4, 4]
    kept = again.trials.query("number < 3").reset_index(drop=True)
    assert kept["hull_gain"].tolist() == first["hull_gain"].tolist()
    assert rm.fit(log, estimator=again.best).candidates.names == log.candidates.names
    assert "points above the hull" in again._repr_html_()
    with pytest.raises(ConfigError, match="a search on other rows"):
        rm.search(rm.sample_log(), n_trials=1, **options)


def test_what_scores_too_slowly_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="raise allowance_s, or score_ms"):
        rm.search(
            rm.sample_log(), space=few, n_trials=1, outer_folds=0, folds=2, score_ms=1e-6,
            output=tmp_path,
        )  # fmt: skip


def test_nested_folds_are_independent() -> None:
    hashes = rm.sample_log().outcomes["group_id"].unique()
    outer, inner = hash_folds(hashes, n_folds=3), hash_folds(hashes, n_folds=3, part=1)
    for fold in range(3):
        assert len(set(inner[outer == fold])) == 3
