"""Every stage in turn, from a log to a judged challenger: what ``mlflow run .`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipelines.config import (
    EvaluateConfig,
    ExportConfig,
    JoinConfig,
    PromoteConfig,
    RegisterConfig,
    TrainConfig,
)
from pipelines.console import console, progress
from pipelines.registry.promotion import PromotionReport
from pipelines.stages import evaluate, export, join, promote, register, train
from router_ml.data.synthetic_log import write_world


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainConfig:
    """Where the inputs are and where every stage writes.

    Parameters
    ----------
    join : what to join; its output is ``output/joined``
    output : a folder with one folder a stage
    cache : folder for encoders
    """

    join: JoinConfig
    output: Path
    cache: Path = Path(".cache")


def run(config: ChainConfig) -> PromotionReport:
    """Join, train, export, evaluate, register, and ask the gate; its answer is the report."""
    output = config.output
    with progress("joining", None):
        joined = join.run(config.join)
    trained = train.run(TrainConfig(joined=joined, output=output / "trained", cache=config.cache))
    bundle = export.run(ExportConfig(trained=trained, joined=joined, output=output / "export"))
    evaluation = evaluate.run(
        EvaluateConfig(bundle=bundle, joined=joined, output=output / "evaluation")
    )
    register.run(
        RegisterConfig(bundle=bundle, trained=trained, joined=joined, evaluation=evaluation)
    )
    return promote.run(PromoteConfig(joined=joined))


def main(
    output: Path = Path("runs/main"),
    requests: Annotated[str, typer.Option(help="Log; empty: a synthetic world.")] = "",
    labels: str = "",
    prices: str = "",
    cache: Path = Path(".cache"),
) -> None:
    """Run the chain and print what the gate says; a no of the gate is an answer, not an error."""
    if not requests:
        with progress("no log given: generating a synthetic world", None):
            world = write_world(output / "world")
        requests, labels, prices = (
            str(world / name) for name in ("requests.jsonl.gz", "labels.csv", "prices.json")
        )
    job = JoinConfig(
        requests=(requests,),
        labels=(labels,) if labels else (),
        prices=(prices,),
        output=output / "joined",
    )
    report = run(ChainConfig(join=job, output=output, cache=cache))
    console.print(report.text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
