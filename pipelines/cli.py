"""The command line: one command a stage, the same functions as everywhere else.

Stages read ``--config FILE`` (YAML); ``--set key=value`` wins over it, and its value is YAML too.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml

from pipelines.config import (
    CertifyConfig,
    EvaluateConfig,
    ExportConfig,
    JoinConfig,
    PromoteConfig,
    RegisterConfig,
    TrainConfig,
)
from pipelines.console import console, print_table, shares
from pipelines.yaml_config import load_config
from router_ml.errors import ConfigError, RouterError

ConfigT = TypeVar("ConfigT")
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file of the stage.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="key=value; wins over the file.")
]

DataFolder = Annotated[
    Path, typer.Option("--data", envvar="ROUTER_ML_DATA", help="Folder of shared data.")
]

TestData = Annotated[
    Path | None, typer.Option(help="Train on all of the data, test here once; same file names.")
]
Workloads = Annotated[str | None, typer.Option(help="Comma-separated; default: all.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
benchmark = typer.Typer(no_args_is_help=True, help="Measure, and write the numbers as JSON.")
app.add_typer(benchmark, name="benchmark")


def read_config(
    cls: type[ConfigT], file: Path | None, overrides: list[str] | None, **named: Any
) -> ConfigT:
    """Config of a stage from file, ``--set`` and named options, the later winning."""
    values: dict[str, Any] = {}
    for item in overrides or ():
        key, sign, text = item.partition("=")
        if not sign:
            raise ConfigError(f"--set needs key=value, got {item!r}")
        values[key.strip()] = yaml.safe_load(text)
    values.update({key: value for key, value in named.items() if value is not None})
    return load_config(cls, file, values)


@app.command()
def join(
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_of: Annotated[str | None, typer.Option(help="Hide labels later than this time.")] = None,
) -> None:
    """Request log, labels and prices to outcomes, rejects and a report."""
    from pipelines.stages import join as stage

    with shares() as advance:
        resolved = read_config(JoinConfig, config, overrides, as_of=as_of)
        folder = stage.run(resolved, progress=advance)
    console.print((folder / "report.md").read_text(encoding="utf-8"), highlight=False, markup=False)
    console.print(f"written to {folder}")


@app.command()
def train(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Outcomes to fitted estimators and a solved policy."""
    from pipelines import artifacts
    from pipelines.stages import train as stage

    folder = stage.run(read_config(TrainConfig, config, overrides))
    report = json.loads((folder / artifacts.REPORT).read_text(encoding="utf-8"))
    console.print_json(data={key: report[key] for key in ("labelled_cells", "selection", "policy")})
    console.print(f"written to {folder}")


@app.command()
def export(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Fitted estimators to a bundle, parity proven."""
    from pipelines import artifacts
    from pipelines.stages import export as stage

    bundle = stage.run(read_config(ExportConfig, config, overrides))
    console.print_json((bundle.parent / artifacts.PARITY).read_text(encoding="utf-8"))
    console.print(f"bundle: {bundle}")


@app.command()
def evaluate(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """A bundle judged on full information, or on a log's test split."""
    from pipelines.stages import evaluate as stage

    folder = stage.run(read_config(EvaluateConfig, config, overrides))
    console.print(f"written to {folder}")


@app.command()
def certify(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """The cheapest operating point that keeps a quality floor with confidence, as a new bundle."""
    from pipelines import artifacts
    from pipelines.stages import certify as stage

    bundle = stage.run(read_config(CertifyConfig, config, overrides))
    report = json.loads((bundle.parent / artifacts.CERTIFICATE).read_text(encoding="utf-8"))
    console.print(f"On {report['basis']}: {report['text']}.", markup=False, highlight=False)
    console.print(f"bundle: {bundle}")


@app.command()
def register(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """A bundle becomes a version in the registry, with the alias challenger."""
    from pipelines.stages import register as stage

    version = stage.run(read_config(RegisterConfig, config, overrides))
    console.print(f"registered as version {version}, alias challenger")


@app.command()
def promote(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """The challenger becomes the champion, if the gate lets it."""
    from pipelines.stages import promote as stage

    report = stage.run(read_config(PromoteConfig, config, overrides))
    report.require_promoted()
    console.print(report.text, highlight=False, markup=False)


@app.command()
def rollback(
    name: Annotated[str, typer.Option(help="Registered model.")] = "router",
    by: Annotated[str, typer.Option(help="Who rolls back.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """The champion before this one becomes the champion again."""
    from pipelines.stages import promote as stage

    version = stage.rollback(name, by=by, reason=reason)
    console.print(f"champion is version {version} again")


@app.command()
def serve(
    bundle: Annotated[str, typer.Argument(help="Bundle folder, or models:/router@champion.")],
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
) -> None:
    """The scoring service; further settings by ROUTER_SERVE_* variables (docs/serving.md)."""
    # The service is a program of its own, which [serve] alone runs: become it.
    named = {"BUNDLE": bundle, "HOST": host, "PORT": str(port), "WORKERS": str(workers)}
    os.environ.update({f"ROUTER_SERVE_{key}": value for key, value in named.items()})
    os.execv(sys.executable, [sys.executable, "-m", "serving"])


@app.command()
def route(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    query: Annotated[str, typer.Argument(help="What is asked; - reads standard input.")],
    cost_weight: Annotated[float | None, typer.Option(help="Quality per dollar.")] = None,
    max_cost_usd: Annotated[float | None, typer.Option(help="Dollars a request.")] = None,
) -> None:
    """One decision, without a service."""
    from router_ml.features.query import parse_query
    from router_ml.runtime.constraints import Constraints
    from router_ml.runtime.runtime import Runtime

    text = sys.stdin.read() if query == "-" else query
    constraints = Constraints(cost_weight=cost_weight, max_cost_usd=max_cost_usd)
    decision = Runtime.from_folder(bundle).decide(parse_query(text), constraints)
    print_table(
        f"{decision.candidate}: {decision.reason}",
        ("candidate", "quality", "$ per 1,000", "ms", "utility"),
        [
            (
                row.candidate,
                f"{row.quality:.3f}",
                f"{row.cost_usd * 1e3:.3f}",
                f"{row.latency_ms:.0f}",
                f"{row.utility:.4f}",
            )
            for row in decision.ranking
        ],
    )


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="Folder; default: a synthetic world.")] = None,
    output: Path = Path("runs/demo"),
    cache: Path = Path(".cache"),
) -> None:
    """From a log to a promoted router that answers, and the table that says what it saves."""
    from pipelines.stages.demo import DemoConfig, run

    run(DemoConfig(data=data, output=output, cache=cache))


@app.command()
def simulate(
    config: ConfigFile = None,
    overrides: Overrides = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with a matrix and prices; default: synthetic.")
    ] = None,
) -> None:
    """Traffic of known truth through the service, retraining after every round (docs/loop.md)."""
    from pipelines.loop import simulate as stage
    from pipelines.loop.config import SimulateConfig

    stage.run(read_config(SimulateConfig, config, overrides, data=data))


@benchmark.command("platform")
def benchmark_platform(
    out: Path = Path("results/bench.json"),
    data: Annotated[
        Path | None, typer.Option(envvar="ROUTER_ML_DATA", help="Folder of shared data.")
    ] = None,
    parts: Annotated[str, typer.Option(help="Comma-separated: join,train,serve.")] = (
        "join,train,serve"
    ),
) -> None:
    """Join, training and serving, timed (make bench)."""
    from pipelines.benchmarks.platform import run

    run(out, data=data, parts=tuple(parts.split(",")))


@benchmark.command("quality")
def benchmark_quality(
    data: DataFolder,
    test_data: TestData = None,
    workloads: Workloads = None,
    out: Path = Path("results/quality.json"),
    plots: Annotated[Path | None, typer.Option(help="Folder for figures.")] = None,
    tier: Annotated[str, typer.Option(help="fast, or best: with a fine-tuned encoder.")] = "fast",
    ablation: Annotated[bool, typer.Option(help="Also the blend without each member.")] = False,
    folds: Annotated[int, typer.Option(help="Test on the first so many of five folds.")] = 5,
    cache: Path = Path(".cache"),
) -> None:
    """Routing quality, cross-validated or on a test folder, next to baselines."""
    from pipelines.benchmarks import quality
    from pipelines.benchmarks.workloads import WORKLOADS

    names = workloads.split(",") if workloads else WORKLOADS
    quality.run(
        data,
        out,
        test_data=test_data,
        workloads=names,
        plots=plots,
        tier=tier,
        cache=cache,
        folds=folds,
        ablation=ablation,
    )
    print_benchmark(out)


@benchmark.command("cascade")
def benchmark_cascade(
    data: DataFolder,
    test_data: TestData = None,
    workloads: Workloads = None,
    out: Path = Path("results/cascade.json"),
    cache: Path = Path(".cache"),
    plots: Annotated[Path | None, typer.Option(help="Folder for figures.")] = None,
) -> None:
    """Cascades and cascade routing next to routers, constants and the oracle."""
    from pipelines.benchmarks import cascade
    from pipelines.benchmarks.workloads import CASCADE_WORKLOADS

    names = workloads.split(",") if workloads else CASCADE_WORKLOADS
    cascade.run(data, out, test_data, workloads=names, cache=cache, plots=plots)
    print_benchmark(out)


@benchmark.command("off-policy")
def benchmark_off_policy(data: DataFolder, out: Path = Path("results/off_policy.json")) -> None:
    """Off-policy estimates, gate and guarantee against a known truth."""
    from pipelines.benchmarks import off_policy

    off_policy.run(data, out)
    results = json.loads(out.read_text(encoding="utf-8"))
    columns = ("workload", "estimator", "rmse", "bias", "coverage", "ess")
    print_table(f"written to {out}", columns, off_policy.table(results))


def print_benchmark(out: Path) -> None:
    """One table a workload of a file in the benchmark schema: value and interval."""
    results = json.loads(out.read_text(encoding="utf-8"))
    for workload, content in results["workloads"].items():
        rows = [
            (method, metric, f"{cell['value']:.4g}", f"[{cell['low']:.4g}, {cell['high']:.4g}]")
            for method, metrics in content["methods"].items()
            for metric, cell in metrics.items()
        ]
        print_table(workload, ("method", "metric", "value", "95 % interval"), rows)
    console.print(f"written to {out}", highlight=False)


def main() -> None:
    """Entry point: errors that were foreseen are one line, not a traceback."""
    _guard(app)


def _guard(call: Callable[[], Any]) -> None:
    try:
        call()
    except RouterError as error:
        console.print(f"[bold red]{type(error).__name__}[/bold red]", end=": ")
        console.print(str(error), markup=False, highlight=False)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
