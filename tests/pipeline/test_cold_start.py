"""A router without a label serves, logs exact propensities, and is taught by what it logged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.config import JoinConfig, TrainConfig
from pipelines.encoders import get_encoder
from pipelines.stages import join, train
from router_ml.errors import ConfigError, SchemaError
from router_ml.export.bundle import export_bundle, verify
from router_ml.export.cold_start import cold_start
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable

TABLE = CandidateTable.from_prices({"small": (0.1, 0.4), "large": (3.0, 15.0)})
CARD = {"small": (0.7, 0.1), "large": (0.85, 0.1)}


def test_the_first_bundle_decides_by_card_and_price(encoder_cache: Path, tmp_path: Path) -> None:
    encoder = get_encoder(cache=encoder_cache)
    policy = {"name": "thompson", "cost_weight": 20.0, "floor": 0.05}
    router = cold_start(TABLE, CARD, encoder, policy=policy, output_tokens=400.0)
    bundle = export_bundle(tmp_path / "bundle", router)
    queries = [Query("word " * 200, history_chars=1_000), Query("hi", history_chars=2)]
    assert verify(bundle, router, queries).equal_decisions == 1.0
    runtime = Runtime.from_folder(bundle)
    predictions = runtime.predict(queries)
    np.testing.assert_allclose(predictions.quality, [[0.7, 0.85]] * 2, atol=1e-6)
    np.testing.assert_allclose(predictions.input_tokens[:, 0], [250.0, 0.5], rtol=1e-3)
    np.testing.assert_allclose(predictions.output_tokens, 400.0, rtol=1e-5)
    probs = runtime.policy.action_probs(predictions, TABLE)
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert (probs >= 0.05 - 1e-9).all()


def test_what_cannot_be_started_is_refused(encoder_cache: Path) -> None:
    encoder = get_encoder(cache=encoder_cache)
    with pytest.raises(ConfigError, match="needs a card"):
        cold_start(TABLE, {}, encoder)
    with pytest.raises(ConfigError, match="no amount of large"):
        cold_start(TABLE, CARD, encoder, output_tokens={"small": 100.0})


def test_a_log_without_labels_is_trained_on_with_a_card(
    small_world: Path, encoder_cache: Path, tmp_path: Path
) -> None:
    joined = join.run(
        JoinConfig(
            requests=(str(small_world / "requests.jsonl.gz"),),
            prices=(str(small_world / "prices.json"),),
            failure_quality=None,
            output=tmp_path / "joined",
        )
    )
    names = list(json.loads((small_world / "prices.json").read_text()))
    config = TrainConfig(joined=joined, output=tmp_path / "trained", cache=encoder_cache)
    with pytest.raises(SchemaError, match="start without"):
        train.run(config)
    card = {name: [0.6, 0.1] for name in names}
    out = train.run(
        TrainConfig(
            joined=joined,
            output=tmp_path / "trained",
            cache=encoder_cache,
            quality={"name": "card", "card": card},
            policy={"name": "thompson", "floor": 0.01},
        )
    )
    report = json.loads((out / "training.json").read_text())
    assert report["labelled_cells"] == 0
    assert set(report["policy"]["std"].values()) == {0.1}
