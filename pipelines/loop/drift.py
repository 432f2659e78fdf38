"""What has changed in a joined log: the candidates whose quality is not what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.artifacts import read_training_table
from pipelines.config import TrainConfig, load_config
from pipelines.encoders import get_encoder
from pipelines.loop.config import LoopConfig
from router_ml.data.groups import distinct_rows
from router_ml.estimators.tiers import TIERS
from router_ml.features.featurizer import Featurizer
from router_ml.learning.changes import find_changes, query_features


def find_alarms(config: LoopConfig, joined: Path, folder: Path) -> Sequence[Mapping[str, Any]]:
    """Alarms of a joined log, each with ``candidate``, ``metric``, ``since`` and ``text``."""
    table, _ = read_training_table(joined)
    table = table.take(table.chosen >= 0)
    if not np.isfinite(table.quality).any():
        return ()
    wanted = load_config(
        TrainConfig, overrides={**config.train, "joined": joined, "output": folder}
    )
    encoder = get_encoder(
        cache=config.cache,
        kind=TIERS[wanted.tier].encoder,
        model=wanted.encoder_model,
        dims=wanted.dims,
        max_tokens=wanted.max_tokens,
    )
    first, _ = distinct_rows(table.query_id)
    batch = Featurizer(encoder=encoder).transform(tuple(table.queries[i] for i in first))
    return [
        {
            "candidate": change.candidate,
            "metric": "quality",
            "since": str(change.time),
            "text": f"quality of {change.candidate} is another since {str(change.time)[:16]}",
        }
        for change in find_changes(table, query_features(table, batch))
    ]
