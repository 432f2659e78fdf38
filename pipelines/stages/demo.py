"""The whole story in one command: a log in, a measured table out, three requests served.

With a folder of real data it learns from ``requests.jsonl.gz``, ``labels.csv`` and ``prices.json``
alone, and is judged on ``matrix.parquet``'s rows of prompts it has not seen. Without one it
generates a synthetic world and does the same.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipelines import figures
from pipelines.artifacts import JoinedFolder, read_training_table
from pipelines.config import (
    DemoConfig,
    ExportConfig,
    JoinConfig,
    PromoteConfig,
    RegisterConfig,
    TrainConfig,
)
from pipelines.console import console, progress, shares
from pipelines.encoders import get_encoder
from pipelines.printing import print_comparison
from pipelines.service import post, running_service
from pipelines.stages import export, join, promote, register, train
from pipelines.stages.demo_log import run_on_log
from router_ml.data.full_information import FullInformation, read_matrix
from router_ml.data.groups import N_FOLDS
from router_ml.data.synthetic_log import write_world
from router_ml.errors import ConfigError
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import RouterEstimator
from router_ml.evaluation.comparison import (
    as_dict,
    budget_curve,
    cheapest_not_worse,
    closest_router,
    full_information_table,
    today_sentence,
    verdict,
)
from router_ml.evaluation.curves import zero_router
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.evaluation.today_on_matrix import today_on_matrix
from router_ml.export.bundle import FittedRouter, export_bundle, verify
from router_ml.export.parity import ParityReport
from router_ml.features.encoder import Encoder
from router_ml.features.query import Query
from router_ml.learning.cross_fit import CrossFitted, Predict, cross_fit
from router_ml.learning.training_set import TrainingSet, training_set
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray

FILES: Final = ("requests.jsonl.gz", "labels.csv", "prices.json", "matrix.parquet")
RESULT: Final = "demo.json"
FIGURE: Final = "cost_quality.png"
PARITY_QUERIES: Final = 200


def run(config: DemoConfig) -> Path:
    """Join, cross-fit, judge, train, export, register, promote, serve; returns the folder written.

    Raises
    ------
    ConfigError
        If a file of ``config.data`` is missing.
    """
    data = _data(config)
    if not (data / FILES[3]).is_file():
        console.print(f"{data} has no {FILES[3]}: judged by its log, off policy")
        _serve(*run_on_log(config, data))
        return config.output
    joined = config.output / "joined"
    with shares() as advance:
        join.run(
            JoinConfig(
                requests=(str(data / FILES[0]),),
                labels=(str(data / FILES[1]),),
                prices=(str(data / FILES[2]),),
                output=joined,
            ),
            progress=advance,
        )
    _print_accounts(joined)
    train_config = TrainConfig(joined=joined, output=config.output / "trained", cache=config.cache)
    with progress("encoder (distilled once, then cached)", None):
        encoder = get_encoder(cache=config.cache)
    table, candidates = read_training_table(joined)
    with progress("features", None):
        training = training_set(table, candidates, encoder)
    truth = read_matrix(data / FILES[3], candidates)
    quality = make_estimator(train_config.quality)
    exported = _Folds(config.output / "folds", encoder)
    with progress("cross-fitting", N_FOLDS) as advance:
        fitted = cross_fit(training, truth, quality, exported.ship, on_fold=advance)
    today = today_on_matrix(truth, joined)
    _judge(config.output, training, truth, fitted, exported.parity, today)
    with progress("training on the whole training split", None):
        trained = train.run(train_config)
    bundle = export.run(
        ExportConfig(trained=trained, joined=joined, output=config.output / "export")
    )
    address = _register(config, joined, trained, bundle, data / FILES[3])
    asked = np.linspace(0, len(truth) - 1, 3).astype(int)
    _serve(address, tuple(truth.queries[i] for i in asked))
    return config.output


def _data(config: DemoConfig) -> Path:
    if config.data is None:
        folder = config.output / "world"
        console.print(
            "No data given: a [bold]synthetic world[/bold] is generated, whose true qualities are "
            "known. For real data: make demo DATA=folder"
        )
        with progress("generating the synthetic world", None):
            shutil.rmtree(folder, ignore_errors=True)
            return write_world(folder)
    if not config.data.is_dir():
        raise ConfigError(f"no folder {config.data}; name one with {', '.join(FILES[:3])}")
    missing = [name for name in FILES[:3] if not (config.data / name).is_file()]
    if missing and (config.data / FILES[3]).is_file():
        raise ConfigError(
            f"{config.data} lacks {', '.join(missing)}; beside a matrix the demo needs "
            f"{', '.join(FILES[:3])}"
        )
    return config.data


def _print_accounts(joined: Path) -> None:
    report = json.loads(JoinedFolder(joined).report.read_text(encoding="utf-8"))
    for source, account in report["accounting"].items():
        parts = ", ".join(f"{key} {value or 0}" for key, value in account.items())
        console.print(f"[bold]{source}[/bold]: {parts}", highlight=False)


class _Folds:
    """Exports each fold's router, so that what is judged is what would be served."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = folder
        self.encoder = encoder
        self.parity: list[ParityReport] = []

    def ship(self, fold: int, router: RouterEstimator, data: TrainingSet) -> Predict:
        """Export, prove parity on some queries, and score through the bundle."""
        fitted = FittedRouter(router, self.encoder, data.candidates, {"name": "cost_aware"})
        bundle = self.folder / f"fold_{fold}"
        shutil.rmtree(bundle, ignore_errors=True)
        export_bundle(bundle, fitted)
        self.parity.append(verify(bundle, fitted, data.queries[:PARITY_QUERIES]))
        return Runtime.from_folder(bundle).predict


def _judge(
    output: Path,
    training: TrainingSet,
    truth: FullInformation,
    fitted: CrossFitted,
    parity: Sequence[ParityReport],
    today: FloatArray | None,
) -> None:
    """Table, sentence and figure of the cross-fitted routers and of today."""
    now = {} if today is None else {TODAY: today}
    table, baseline = full_information_table(truth, {**now, **fitted.action_probs})
    title = f"{len(truth)} prompts, each judged by a router that had not seen it"
    print_comparison(title, table, baseline)
    routers = list(fitted.action_probs)
    sentence = verdict(table, baseline, routers)
    console.print(f"[bold]{sentence}[/bold]", highlight=False)
    if now:
        named = cheapest_not_worse(table, routers) or closest_router(table, routers)
        console.print(today_sentence(table, named), highlight=False)
    figure = figures.cost_quality(
        {
            name: (table[name]["quality"], table[name]["cost_usd"])
            for name in (*truth.candidates.names, *now)
        },
        budget_curve(truth, fitted.predictions, training.candidates),
        zero_router=zero_router(truth.cost_usd, truth.quality),
        oracle=(table["oracle"]["quality"], table["oracle"]["cost_usd"]),
        title="Learned from a partial log, judged on unseen prompts",
    )
    path = figures.save(figure, output / FIGURE)
    result = {
        "baseline": baseline,
        "policies": as_dict(table),
        "verdict": sentence,
        "parity": max(max(report.max_error.values()) for report in parity),
        "equal_decisions": min(report.equal_decisions for report in parity),
        "selection": [dict(report) for report in fitted.selection],
    }
    (output / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    console.print(f"figure: {path}; all numbers: {output / RESULT}", highlight=False)


def _register(config: DemoConfig, joined: Path, trained: Path, bundle: Path, matrix: Path) -> str:
    """Register the bundle, let the gate decide; returns what is to be served.

    The registry is a SQLite file in the demo's own folder, so that a second demo starts afresh.
    """
    store = config.output.resolve() / "registry"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir(parents=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlflow.db'}"
    with progress("registering", None):
        version = register.run(RegisterConfig(bundle=bundle, trained=trained, joined=joined))
    with progress("asking the gate", None):
        report = promote.run(PromoteConfig(joined=joined, matrix=matrix))
    console.print(report.text, highlight=False, markup=False)
    if report.promoted:
        return "models:/router@champion"
    console.print(f"Version {version} stays challenger; its bundle folder is served instead.")
    return str(bundle)


def _serve(source: str, queries: Sequence[Query]) -> None:
    with running_service(source) as address:
        console.print(f"serving {source} at {address}", highlight=False)
        for query in queries:
            body = {"query": query.ask, "tools": [dict(tool) for tool in query.tools]}
            started = time.perf_counter()
            decision = post(f"{address}/v1/route", body)
            took = (time.perf_counter() - started) * 1e3
            best = decision["ranking"][0]
            console.print(
                f"  {query.ask[:60]!r} -> [bold]{decision['candidate']}[/bold] (quality "
                f"{best['quality']:.2f}, ${best['cost_usd']:.6f}; {took:.1f} ms with a new "
                "connection)",
                highlight=False,
            )
    console.print("service stopped")
