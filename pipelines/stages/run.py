"""Every stage in turn, from a log to a judged challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.artifacts import RunFolders
from pipelines.config import (
    EvaluateConfig,
    ExportConfig,
    JoinConfig,
    LabelFile,
    PromoteConfig,
    RegisterConfig,
    TrainConfig,
)
from pipelines.config.evaluate import evaluated
from pipelines.console import console, shares
from pipelines.options import load_config
from pipelines.registry.promotion import PromotionReport
from pipelines.stages import evaluate, export, join, promote, register, train
from router_ml.data.synthetic_log import write_world


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The whole way from a log to a gate report.

    Parameters
    ----------
    requests : request logs, files or patterns; none: a synthetic world
    labels : quality labels, files or patterns, each also with names of its own (``LabelFile``)
    prices : price lists
    matrix : Parquet of every candidate's outcome on every prompt, to judge on; optional
    output : folder with one folder a stage
    cache : folder for encoders
    name : registered model
    join : further keys of the join, such as ``request_fields`` and ``label_ranges``
    train : further keys of the training, such as ``policy``
    evaluate : further keys of the evaluation
    promote : further keys of the promotion, such as ``margin`` or ``override_by``
    """

    requests: tuple[str, ...] = ()
    labels: tuple[str | LabelFile, ...] = ()
    prices: tuple[str, ...] = ()
    matrix: Path | None = None
    output: Path = Path("runs/main")
    cache: Path = Path(".cache")
    name: str = "router"
    join: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    promote: Mapping[str, Any] = field(default_factory=dict)


def run(config: RunConfig) -> PromotionReport:
    """Join, train, export, evaluate, register, and ask the gate; its answer is the report."""
    at = RunFolders(config.output)
    sources = {"joined": at.joined, "matrix": config.matrix}
    # All of them before the first stage runs: a wrong key is told now.
    fit = load_config(
        TrainConfig,
        overrides={"cache": config.cache, **config.train, "joined": at.joined,
                   "output": at.trained},
    )  # fmt: skip
    judge = load_config(
        EvaluateConfig,
        overrides={**evaluated(config.evaluate, at.trained), **sources, "bundle": at.bundle,
                   "output": at.evaluation},
    )  # fmt: skip
    gate = load_config(PromoteConfig, overrides={**config.promote, **sources, "name": config.name})
    with shares() as advance:
        joined = join.run(_join_config(config, at), progress=advance)
    trained = train.run(fit)
    bundle = export.run(ExportConfig(trained=trained, joined=joined, output=at.export))
    evaluation = evaluate.run(judge)
    register.run(
        RegisterConfig(
            bundle=bundle,
            trained=trained,
            evaluation=evaluation,
            name=config.name,
            joined=joined,
            matrix=config.matrix,
        )
    )
    return promote.run(gate)


def _join_config(config: RunConfig, at: RunFolders) -> JoinConfig:
    """The log that was named, or a synthetic one."""
    files = {part: getattr(config, part) for part in ("requests", "labels", "prices")}
    if not config.requests and not config.join.get("decisions"):
        console.print("no log given: a synthetic world is generated")
        world = write_world(config.output / "world")
        files = {
            "requests": (str(world / "requests.jsonl.gz"),),
            "labels": (str(world / "labels.csv"),),
            "prices": (str(world / "prices.json"),),
        }
    return load_config(JoinConfig, overrides={**config.join, **files, "output": at.joined})
