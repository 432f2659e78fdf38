"""Benchmarks as commands: ``router-ml benchmark NAME``; not part of the wheel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipelines.cli import Command
from pipelines.console import console, print_table, progress
from router_ml.errors import ConfigError
from router_ml.estimators.tiers import TierName


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformConfig:
    """Join, training and serving, timed.

    Parameters
    ----------
    out : JSON file
    data : folder of shared data; default: the variable ROUTER_ML_DATA, else a synthetic world
    parts : comma-separated, of join, train, serve
    """

    out: Path = Path("results/bench.json")
    data: Path | None = None
    parts: str = "join,train,serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig:
    """Routing quality next to baselines.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    test_data : train on all of the data, test here once; same file names
    workloads : comma-separated; default: all
    out : JSON file
    plots : folder for figures
    tier : fast, balanced (beside it, with a frozen sentence encoder) or best (a fine-tuned one)
    encoder_model : what balanced freezes, a sentence-transformers model by name or path
    ablation : also the blend without each member
    cascades : also cascades, where costs and answers are known: hours on all workloads
    folds : test on the first so many of five folds
    cache : folder for encoders and predictions
    """

    data: Path | None = None
    test_data: Path | None = None
    workloads: str = ""
    out: Path = Path("results/quality.json")
    plots: Path | None = None
    tier: TierName = "fast"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    ablation: bool = False
    cascades: bool = False
    folds: int = 5
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeBenchmarkConfig:
    """Cascades next to routers.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    test_data : train on all of the data, test here once; same file names
    workloads : comma-separated; default: all
    out : JSON file
    plots : folder for figures
    cache : folder for encoders
    """

    data: Path | None = None
    test_data: Path | None = None
    workloads: str = ""
    out: Path = Path("results/cascade.json")
    plots: Path | None = None
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyConfig:
    """Estimates, gate and guarantee against a known truth.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    """

    data: Path | None = None
    out: Path = Path("results/off_policy.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcomersConfig:
    """New candidates: each endpoint hidden in turn, and some of its labels given back.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    folds : test on the first so many of five folds
    """

    data: Path | None = None
    out: Path = Path("results/newcomers.json")
    cache: Path = Path(".cache")
    folds: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingConfig:
    """What to label next, on a log whose labels are known.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    requests : of the log, from its first on
    draws : of each budget
    """

    data: Path | None = None
    out: Path = Path("results/labelling.json")
    cache: Path = Path(".cache")
    requests: int = 4_000
    draws: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingConfig:
    """Endpoints that are hidden in turn and onboarded.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    requests : of the log, from its first on
    labels : outcomes that are known of an endpoint
    endpoints : of the ten, from the first on
    """

    data: Path | None = None
    out: Path = Path("results/onboarding.json")
    cache: Path = Path(".cache")
    requests: int = 2_000
    labels: int = 200
    endpoints: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartConfig:
    """A router without a label, taught by its own log.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    seeds : of worlds and traffic, from 0 on
    rounds, requests : rounds, and requests in each
    """

    data: Path | None = None
    out: Path = Path("results/cold_start.json")
    cache: Path = Path(".cache")
    seeds: int = 3
    rounds: int = 6
    requests: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTrialsConfig:
    """Simulations of the loop.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file; simulations that it holds already are not played again
    worlds : comma-separated, of synthetic and folders of the data that have a matrix
    seeds : how many
    first_seed : 6 is what is reported; defaults were chosen on seeds 0 to 5 and from 20 on
    cache : folder for encoders
    """

    data: Path | None = None
    out: Path = Path("results/loop.json")
    worlds: str = "bfcl,synthetic"
    seeds: int = 10
    first_seed: int = 6
    cache: Path = Path(".cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTrialsConfig:
    """Champions that are watched.

    Parameters
    ----------
    out : JSON file
    trials : champions
    """

    out: Path = Path("results/rollback.json")
    trials: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsConfig:
    """Conversations under prompt caches.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for the encoder
    conversations : that are simulated
    """

    data: Path | None = None
    out: Path = Path("results/sessions.json")
    cache: Path = Path(".cache")
    conversations: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloggedConfig:
    """Policy values by estimated propensities, beside true ones.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    trials : logs drawn of each kind of traffic and logging policy
    requests : requests in a log
    verdicts : logs that the gate judges challengers on
    populations : comma-separated, of mix, bfcl
    """

    data: Path | None = None
    out: Path = Path("results/unlogged.json")
    trials: int = 200
    requests: int = 3_000
    verdicts: int = 50
    populations: str = "mix,bfcl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralLoggersConfig:
    """Logs of several routers as one, on traffic whose truth is known.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    trials : logs drawn of each kind of traffic and setting
    estimated : of these, logs whose versions are estimated, too; that takes most of the time
    requests : requests in a log
    populations : comma-separated, of mix, bfcl
    """

    data: Path | None = None
    out: Path = Path("results/several-loggers.json")
    trials: int = 200
    estimated: int = 50
    requests: int = 3_000
    populations: str = "mix,bfcl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleEvaluationConfig:
    """Gate, off-policy estimates and bootstrap over millions of scored requests.

    Parameters
    ----------
    out : JSON file
    sizes : rows
    folder : for generated logs, which are removed; 150 MB a million rows
    """

    out: Path = Path("results/scale-evaluation.json")
    sizes: tuple[int, ...] = (1_000_000, 3_000_000, 10_000_000)
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentTrialsConfig:
    """Simulated experiments of known truth.

    Parameters
    ----------
    out : JSON file
    trials : experiments
    units : sessions in each
    looks : evenly spaced looks at each
    """

    out: Path = Path("results/experiment.json")
    trials: int = 500
    units: int = 3_000
    looks: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorTrialsConfig:
    """Changes put into the traffic of trained routers, and quiet traffic.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file
    cache : folder for encoders
    workloads : comma-separated, of synthetic, mix
    worlds : routers that are trained on each
    quiet, changed : runs of each router without a change, and with each kind of change
    """

    data: Path | None = None
    out: Path = Path("results/monitor.json")
    cache: Path = Path(".cache")
    workloads: str = "synthetic,mix"
    worlds: int = 2
    quiet: int = 100
    changed: int = 25


def monitor(config: MonitorTrialsConfig) -> None:
    """How often a monitor of quiet traffic cries wolf, and how soon it sees what changes."""
    from pipelines.benchmarks import monitor as benchmark

    benchmark.run(
        _data(config.data),
        config.out,
        workloads=config.workloads.split(","),
        cache=config.cache,
        n_worlds=config.worlds,
        n_quiet=config.quiet,
        n_changed=config.changed,
        progress=_steps,
    )
    print_benchmark(config.out)


def experiment(config: ExperimentTrialsConfig) -> None:
    """How often an experiment's intervals miss the truth when one looks again and again."""
    from pipelines.benchmarks import experiment as benchmark

    results = benchmark.run(n_trials=config.trials, n_units=config.units, looks=config.looks)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print_benchmark(config.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeTrialsConfig:
    """The service under load.

    Parameters
    ----------
    out : JSON file
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    bundle : bundle folder; default: one is trained on the data's bfcl
    modes : comma-separated, of unseen, repeated, open, trace, memory, reload
    rate : requests a second of the mode trace
    requests : of the mode memory
    seconds : of the modes open and reload
    """

    out: Path = Path("results/serve.json")
    data: Path | None = None
    bundle: Path | None = None
    modes: str = "unseen,repeated,open,trace,memory,reload"
    rate: float = 500.0
    requests: int = 200_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        from pipelines.benchmarks.service_trials import MODES

        if unknown := set(self.modes.split(",")) - set(MODES):
            raise ConfigError(f"modes must be of {', '.join(MODES)}, got {sorted(unknown)}")


def serve(config: ServeTrialsConfig) -> None:
    """The service under load: closed and open loops, a trace, memory, reloads."""
    import tempfile

    from pipelines.benchmarks import service_trials as benchmark
    from pipelines.benchmarks.platform import machine
    from pipelines.benchmarks.serve import prompt_bodies
    from pipelines.benchmarks.train import bundle_and_log

    data = _data(config.data)
    log = data / "bfcl" / "requests.jsonl.gz"
    with tempfile.TemporaryDirectory() as folder:
        bundle = config.bundle or bundle_and_log(Path(folder), data)[0]
        results = benchmark.run(
            bundle,
            prompt_bodies(log),
            modes=config.modes.split(","),
            trace=data / "traces" / "azure_conv_2023.parquet",
            rate=config.rate,
            requests=config.requests,
            seconds=config.seconds,
            say=console.print,
        )
    results["machine"] = machine()
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print_benchmark(config.out)


def platform(config: PlatformConfig) -> None:
    """Join, training and serving, timed (make bench)."""
    from pipelines.benchmarks.platform import run

    data = config.data or _environment()
    run(config.out, data=data, parts=tuple(config.parts.split(",")))


def quality(config: QualityConfig) -> None:
    """Routing quality, cross-validated or on a test folder, next to baselines."""
    from pipelines.benchmarks import quality as benchmark
    from pipelines.benchmarks.workloads import WORKLOADS

    benchmark.run(
        _data(config.data),
        config.out,
        test_data=config.test_data,
        workloads=config.workloads.split(",") if config.workloads else WORKLOADS,
        plots=config.plots,
        tier=config.tier,
        model=config.encoder_model,
        cache=config.cache,
        folds=config.folds,
        ablation=config.ablation,
        cascades=config.cascades,
    )
    print_benchmark(config.out)


def cascade(config: CascadeBenchmarkConfig) -> None:
    """Cascades and cascade routing next to routers, constants and the oracle."""
    from pipelines.benchmarks import cascade as benchmark
    from pipelines.benchmarks.workloads import CASCADE_WORKLOADS

    benchmark.run(
        _data(config.data),
        config.out,
        config.test_data,
        workloads=config.workloads.split(",") if config.workloads else CASCADE_WORKLOADS,
        cache=config.cache,
        plots=config.plots,
    )
    print_benchmark(config.out)


def off_policy(config: OffPolicyConfig) -> None:
    """Off-policy estimates, gate and guarantee against a known truth."""
    from pipelines.benchmarks import off_policy as benchmark

    benchmark.run(_data(config.data), config.out)
    results = json.loads(config.out.read_text(encoding="utf-8"))
    columns = ("workload", "estimator", "rmse", "bias", "coverage", "ess")
    print_table(f"written to {config.out}", columns, benchmark.table(results))


def newcomers(config: NewcomersConfig) -> None:
    """Each endpoint of mix hidden in turn, and 0, 50, 200 and 1,000 of its labels given back."""
    from pipelines.benchmarks import newcomers as benchmark

    benchmark.run(_data(config.data), config.out, cache=config.cache, folds=config.folds)
    print_benchmark(config.out)


def labelling(config: LabellingConfig) -> None:
    """Labels drawn as proposed beside evenly: error, spread, and the spread that is stated."""
    from pipelines.benchmarks import labelling as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, requests=config.requests,
        draws=config.draws,
    )  # fmt: skip
    print_benchmark(config.out)


def onboarding(config: OnboardingConfig) -> None:
    """Each endpoint of mix hidden and onboarded by its price, and by 200 outcomes."""
    from pipelines.benchmarks import onboarding as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, requests=config.requests,
        labels=config.labels, endpoints=config.endpoints,
    )  # fmt: skip
    print_benchmark(config.out)


def cold_start(config: ColdStartConfig) -> None:
    """A router from a benchmark card alone, in the real service, taught by its own log."""
    from pipelines.benchmarks import cold_start as benchmark

    plan = benchmark.Plan(rounds=config.rounds, requests=config.requests)
    seeds = tuple(range(config.seeds))
    benchmark.run(_data(config.data), config.out, cache=config.cache, seeds=seeds, plan=plan)
    print_benchmark(config.out)


def loop(config: LoopTrialsConfig) -> None:
    """The loop over worlds of known truth that change: recovery and regret."""
    from pipelines.benchmarks import loop_trials as benchmark

    benchmark.run(
        config.data or _environment(),
        config.out,
        worlds=config.worlds.split(","),
        seeds=range(config.first_seed, config.first_seed + config.seeds),
        cache=config.cache,
        progress=_steps,
    )
    print_benchmark(config.out)


def rollback(config: RollbackTrialsConfig) -> None:
    """How often the loop rolls back a champion that is not worse, and how soon one that is."""
    from pipelines.benchmarks import rollback_trials as benchmark

    benchmark.run(config.out, n_trials=config.trials)
    print_benchmark(config.out)


def sessions(config: SessionsConfig) -> None:
    """Multi-turn traffic under prompt caches: switch costs, always switching, always pinning."""
    from pipelines.benchmarks import sessions as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, conversations=config.conversations
    )
    print_benchmark(config.out)


def unlogged(config: UnloggedConfig) -> None:
    """Logs whose propensities are hidden: policy values, gate and coverage beside the true ones."""
    from pipelines.benchmarks import unlogged as benchmark

    benchmark.run(
        _data(config.data),
        config.out,
        n_logs=config.trials,
        n_requests=config.requests,
        n_verdicts=config.verdicts,
        populations=config.populations.split(","),
        progress=_steps,
    )
    print_benchmark(config.out)


def several_loggers(config: SeveralLoggersConfig) -> None:
    """Logs of three versions: balanced propensities beside each version's own."""
    from pipelines.benchmarks import several_loggers as benchmark

    benchmark.run(
        _data(config.data),
        config.out,
        n_logs=config.trials,
        n_estimated=config.estimated,
        n_requests=config.requests,
        populations=config.populations.split(","),
        progress=_steps,
    )
    print_benchmark(config.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleConfig:
    """The join on logs of growing size.

    Parameters
    ----------
    out : JSON file; sizes measured before are kept
    sizes : comma-separated, millions of requests
    engine : duckdb or spark
    repeats : runs of each size up to ten million; larger ones are run once
    memory_limit_mb : of the engine
    folder : where logs are generated, about 150 MB a million requests; default: a temporary one
    """

    out: Path = Path("results/scale.json")
    sizes: str = "1,3,10,30,100"
    engine: Literal["duckdb", "spark"] = "duckdb"
    repeats: int = 3
    memory_limit_mb: int = 2_000
    folder: Path | None = None


def scale(config: ScaleConfig) -> None:
    """The join on 1 to 100 million requests: seconds, processor time, memory, slowest steps."""
    from pipelines.benchmarks import scale as benchmark

    benchmark.run(
        config.out,
        sizes=[round(float(size) * 1e6) for size in config.sizes.split(",")],
        engine=config.engine,
        repeats=config.repeats,
        memory_limit_mb=config.memory_limit_mb,
        folder=config.folder,
        say=console.print,
    )
    print_benchmark(config.out)


def scale_evaluation(config: ScaleEvaluationConfig) -> None:
    """Time and memory of judging one to ten million scored requests."""
    from pipelines.benchmarks import scale_evaluation as benchmark

    benchmark.run(config.out, sizes=config.sizes, folder=config.folder, say=console.print)
    print_benchmark(config.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsampleConfig:
    """Routers learned from a part of a log.

    Parameters
    ----------
    data : folder of shared data; default: the variable ROUTER_ML_DATA
    out : JSON file; workloads measured before are kept
    workloads : comma-separated, of mix-10-log, bfcl-12-log
    draws : samples of each size
    estimator : of quality, by name; default: that of tier fast, which takes minutes
    cache : folder for the encoder
    """

    data: Path | None = None
    out: Path = Path("results/subsample.json")
    workloads: str = "mix-10-log,bfcl-12-log"
    draws: int = 1
    estimator: str = ""
    cache: Path = Path(".cache")


def subsample(config: SubsampleConfig) -> None:
    """Hull gain of routers learned from a tenth, a third and all of a log."""
    from pipelines.benchmarks import subsample as benchmark

    benchmark.run(
        _data(config.data),
        config.out,
        cache=config.cache,
        workloads=tuple(config.workloads.split(",")),
        draws=config.draws,
        estimator=config.estimator,
        say=console.print,
    )
    print_benchmark(config.out)


COMMANDS: Final[Mapping[str, Command]] = {
    "platform": Command(platform),
    "serve": Command(serve),
    "quality": Command(quality),
    "cascade": Command(cascade),
    "off-policy": Command(off_policy),
    "unlogged": Command(unlogged),
    "several-loggers": Command(several_loggers),
    "scale-evaluation": Command(scale_evaluation),
    "experiment": Command(experiment),
    "monitor": Command(monitor),
    "newcomers": Command(newcomers),
    "cold-start": Command(cold_start),
    "loop": Command(loop),
    "rollback": Command(rollback),
    "scale": Command(scale),
    "sessions": Command(sessions),
    "labelling": Command(labelling),
    "onboarding": Command(onboarding),
    "subsample": Command(subsample),
}


def print_benchmark(out: Path) -> None:
    """One table a workload of a file in the benchmark schema: value and interval."""
    results = json.loads(out.read_text(encoding="utf-8"))
    for workload, content in results["workloads"].items():
        rows = [
            (
                method,
                metric,
                _number(cell["value"]),
                f"[{_number(cell['low'])}, {_number(cell['high'])}]",
            )
            for method, metrics in content["methods"].items()
            for metric, cell in metrics.items()
        ]
        print_table(workload, ("method", "metric", "value", "95 % interval"), rows)
    console.print(f"written to {out}", highlight=False)


def _number(value: float | None) -> str:
    """Four digits; what did not come to an end is without a number."""
    return "none" if value is None else f"{value:.4g}"


def _steps(steps: Iterable[int], label: str) -> Iterator[int]:
    """The same steps, with a bar."""
    known = list(steps)
    with progress(label, len(known)) as advance:
        for step in known:
            yield step
            advance(1)


def _environment() -> Path | None:
    named = os.environ.get("ROUTER_ML_DATA")
    return Path(named) if named else None


def _data(folder: Path | None) -> Path:
    found = folder or _environment()
    if found is None:
        raise ConfigError("name the folder of shared data: --data FOLDER, or ROUTER_ML_DATA")
    return found
