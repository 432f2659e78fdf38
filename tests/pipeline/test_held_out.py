"""The gate on a whole log: what a router was trained on is judged by what training held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.artifacts import read_training_table
from pipelines.config import ExportConfig, JoinConfig, RegisterConfig, TrainConfig
from pipelines.stages.export import run as export
from pipelines.stages.join import run as join
from pipelines.stages.register import run as register
from pipelines.stages.train import run as train
from pipelines.trained import load_trained
from router_ml.data.held_out import HELD_OUT, HeldOut
from router_ml.data.outcomes import read_outcomes, to_matrices
from router_ml.errors import ConfigError, DataError, SchemaError
from router_ml.evaluation.gate.pairing import Contender, PairedRows, pair
from router_ml.evaluation.intervals import cluster_mean
from router_ml.evaluation.off_policy.constants import best_logged
from router_ml.learning.training_set import training_set
from router_ml.runtime.runtime import Runtime

LINEAR: Mapping[str, Any] = {"name": "linear"}


@pytest.fixture(scope="module")
def joined(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return join(
        JoinConfig(
            requests=(str(small_world / "requests.jsonl.gz"),),
            labels=(str(small_world / "labels.csv"),),
            prices=(str(small_world / "prices.json"),),
            output=tmp_path_factory.mktemp("held") / "joined",
        )
    )


def contender(folder: Path, joined: Path, cache: Path, **changes: Any) -> Contender:
    values: dict[str, Any] = {"quality": LINEAR, **changes}
    trained = train(TrainConfig(joined=joined, output=folder / "trained", cache=cache, **values))
    bundle = export(
        ExportConfig(trained=trained, joined=joined, output=folder / "export", parity_queries=50)
    )
    return Contender(Runtime.from_folder(bundle), HeldOut.load(trained))


@pytest.fixture(scope="module")
def linear(
    joined: Path, encoder_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Contender:
    return contender(tmp_path_factory.mktemp("linear"), joined, encoder_cache)


def _pair(challenger: Contender, champion: Contender | None, joined: Path) -> PairedRows:
    return pair(challenger, champion, joined=joined, matrix=None)


def test_a_router_against_itself_differs_by_nothing_on_every_request(
    linear: Contender, joined: Path
) -> None:
    rows = _pair(linear, linear, joined)
    assert len(rows.quality_difference) == len(read_outcomes(joined))
    assert np.abs(rows.quality_difference).max() < 1e-12
    assert np.abs(rows.cost_difference).max() < 1e-12
    assert rows.shift.moved == pytest.approx(0.0, abs=1e-9)


def test_every_label_of_the_log_counts_and_savings_show(
    joined: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    cheapest = {"name": "quality_floor", "min_quality": 0.0}
    rows = _pair(contender(tmp_path, joined, encoder_cache, policy=cheapest), None, joined)
    assert rows.labelled_rows == read_outcomes(joined)["quality"].notna().sum()
    assert rows.opponent
    assert rows.cost_difference.mean() < 0.0


def test_a_matrix_beside_a_log_opposes_today(
    joined: Path, small_world: Path, linear: Contender
) -> None:
    matrix = small_world / "matrix.parquet"
    rows = pair(linear, None, joined=joined, matrix=matrix)
    assert rows.opponent == "today"
    (constant,) = (rival.name for rival in rows.rivals)
    assert constant.startswith("constant ")
    against = pair(linear, None, joined=joined, matrix=matrix, opponent="constant")
    assert (against.opponent, against.rivals[0].name) == (constant, "today")
    assert pair(linear, None, joined=None, matrix=matrix).opponent.startswith("constant ")


@pytest.mark.parametrize("quality", [{"name": "lightgbm"}, {"name": "stacked"}])
def test_what_was_learned_from_noise_is_worth_nothing(
    quality: Mapping[str, Any], joined: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    """Played on its own training prompts as it serves, the same router would look good."""
    noise = tmp_path / "noise"
    noise.mkdir()
    for file in joined.iterdir():
        (noise / file.name).write_bytes(file.read_bytes())
    table = pq.read_table(noise / "outcomes.parquet")
    coin = np.random.default_rng(0).integers(2, size=len(table)).astype(float)
    label = np.where(table["quality"].is_valid(), coin, np.nan)
    column = table.column_names.index("quality")
    table = table.set_column(column, "quality", pa.array(label, from_pandas=True))
    pq.write_table(table, noise / "outcomes.parquet")
    members = {"lightgbm": {"name": "lightgbm"}, "linear": {"name": "linear"}}
    spec = {**quality, "members": members} if quality["name"] == "stacked" else quality
    best = {"name": "cost_aware", "cost_weight": 0.0}
    judged = contender(tmp_path, noise, encoder_cache, quality=spec, policy=best)

    def z(player: Contender) -> float:
        rows = _pair(player, None, noise)
        value, error, _ = cluster_mean(rows.quality_difference, rows.group_id)
        return value / error if error else 0.0

    assert abs(z(judged)) < 3.0  # -0.9 to 2.0 over twelve other coins
    if quality["name"] == "lightgbm":
        assert judged.held_out is not None
        everything, candidates = read_training_table(noise, "train")
        trained = load_trained(tmp_path / "trained")
        data = training_set(everything, candidates, trained.router.encoder)
        seen = trained.router.estimator.predict(data.batch, candidates)
        assert z(replace(judged, held_out=replace(judged.held_out, predictions=seen))) > 4.0


def test_new_prompts_are_served_and_siblings_of_trained_ones_are_left_out(
    linear: Contender, joined: Path
) -> None:
    assert linear.held_out is not None
    kept = linear.held_out
    candidates = linear.runtime.candidates.names
    table = to_matrices(read_outcomes(joined), candidates)
    forgotten = kept.query_id[0]
    known = kept.query_id != forgotten
    fewer = HeldOut(
        kept.query_id[known], kept.group_id[known], candidates,
        kept.predictions.take(np.flatnonzero(known)),
    )  # fmt: skip
    mine = np.array(table.query_id) == forgotten
    predictions, unseen = Contender(linear.runtime, fewer).predict(table)
    query = table.queries[int(np.flatnonzero(mine)[0])]
    assert unseen.all()  # its group is gone with it: a prompt from after training
    assert np.allclose(predictions.quality[mine], linear.runtime.predict([query]).quality)
    assert not np.allclose(predictions.quality[mine], kept.predictions.quality[:1])
    sibling = replace(fewer, group_id=np.where(fewer.group_id == fewer.group_id[0],
                                               kept.group_id[0], fewer.group_id))  # fmt: skip
    assert not Contender(linear.runtime, sibling).predict(table)[1][mine].any()


def test_without_held_out_predictions_the_test_split_is_the_judge(
    linear: Contender, joined: Path, tmp_path: Path
) -> None:
    old = Contender(linear.runtime)
    rows = _pair(linear, old, joined)
    frame = read_outcomes(joined)
    assert len(rows.quality_difference) == (frame["split"] == "test").sum()
    only = tmp_path / "joined"
    only.mkdir()
    for file in joined.iterdir():
        (only / file.name).write_bytes(file.read_bytes())
    pd.DataFrame(frame[frame["split"] == "train"]).to_parquet(only / "outcomes.parquet")
    with pytest.raises(DataError, match="neither router was trained on"):
        _pair(linear, old, only)


def test_held_out_predictions_are_hashes_and_numbers_and_read_back_equal(
    linear: Contender, tmp_path: Path
) -> None:
    kept = linear.held_out
    assert kept is not None
    kept.save(tmp_path)
    read = HeldOut.load(tmp_path)
    assert read is not None
    assert read.candidates == kept.candidates
    assert (read.query_id == kept.query_id).all()
    assert (read.group_id == kept.group_id).all()
    assert np.array_equal(read.predictions.quality, kept.predictions.quality)
    assert pq.read_schema(tmp_path / HELD_OUT).names[:2] == ["query_id", "group_id"]
    assert HeldOut.load(tmp_path / "nothing") is None
    pq.write_table(pa.table({"query_id": ["a"]}), tmp_path / HELD_OUT)
    with pytest.raises(SchemaError, match="train again"):
        HeldOut.load(tmp_path)


def test_what_is_held_out_is_of_what_the_router_was_fitted_to(
    joined: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    """Doubly robust training is not judged by a router that was fitted to plain labels."""
    best = {"name": "cost_aware", "cost_weight": 0.0}
    kept = {
        learning: contender(
            tmp_path / learning, joined, encoder_cache, learning=learning, policy=best
        )
        for learning in ("ipw", "dr")
    }
    quality = {}
    for learning, player in kept.items():
        assert player.held_out is not None
        quality[learning] = player.held_out.predictions.quality
    assert np.abs(quality["dr"] - quality["ipw"]).max() > 0.01


def test_a_version_is_not_judged_by_another_training(
    joined: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        contender(tmp_path / name, joined, encoder_cache)
    config = RegisterConfig(
        bundle=tmp_path / "one" / "export" / "bundle", trained=tmp_path / "two" / "trained"
    )
    with pytest.raises(ConfigError, match="was not exported from"):
        register(config)


def test_a_champion_of_fewer_candidates_is_played_as_it_is(
    linear: Contender, joined: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    names = linear.runtime.candidates.names
    fewer = contender(tmp_path, joined, encoder_cache, candidates=tuple(reversed(names[1:])))
    rows = _pair(linear, fewer, joined)
    assert rows.candidates == names
    assert len(rows.quality_difference) == len(read_outcomes(joined))
    assert rows.shift.before[0] == 0.0
    assert rows.shift.before.sum() == pytest.approx(1.0)


def test_a_constant_is_beaten_only_if_the_log_can_judge_it(joined: Path) -> None:
    table, _ = read_training_table(joined)
    mine = (table.served == 0) & np.isfinite(table.quality)
    one = np.flatnonzero(mine & (table.quality == 1.0))[:1]
    lucky = replace(table, Y=table.Y.copy())
    lucky.Y[np.setdiff1d(np.flatnonzero(mine), one), 0] = np.nan  # one label is left, and right
    assert best_logged(lucky) != 0
    nothing = replace(table, Y=np.full_like(table.Y, np.nan))
    with pytest.raises(DataError, match="no candidate has 10 effective labelled"):
        best_logged(nothing)
