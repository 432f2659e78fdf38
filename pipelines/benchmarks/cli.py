"""Benchmarks as commands: ``router-ml benchmark NAME``; not part of the wheel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pipelines.benchmarks.options.candidates import (
    ColdStartConfig,
    LabellingConfig,
    NewcomersConfig,
    OnboardingConfig,
)
from pipelines.benchmarks.options.loop import (
    ExperimentTrialsConfig,
    LoopTrialsConfig,
    MonitorTrialsConfig,
    RollbackTrialsConfig,
    SessionsConfig,
)
from pipelines.benchmarks.options.quality import (
    CascadeBenchmarkConfig,
    OffPolicyConfig,
    QualityConfig,
    SeveralLoggersConfig,
    SubsampleConfig,
    UnloggedConfig,
)
from pipelines.benchmarks.options.scale import (
    PlatformConfig,
    ScaleConfig,
    ScaleEvaluationConfig,
    ServeTrialsConfig,
)
from pipelines.benchmarks.results import print_results, write_results
from pipelines.cli import Command
from pipelines.console import console, print_table, progress
from router_ml.errors import ConfigError


def monitor(config: MonitorTrialsConfig) -> None:
    """How often a monitor of quiet traffic cries wolf, and how soon it sees what changes."""
    from pipelines.benchmarks import monitor as benchmark
    from pipelines.benchmarks.monitored import CHANGES

    named = config.changes.split(",") if config.changes else CHANGES
    if unknown := sorted(set(named) - set(CHANGES)):
        raise ConfigError(f"changes must be of {', '.join(CHANGES)}, got {unknown}")

    benchmark.run(
        _data(config.data),
        config.out,
        workloads=config.workloads.split(","),
        cache=config.cache,
        n_worlds=config.worlds,
        n_quiet=config.quiet,
        n_changed=config.changed,
        changes=[change for change in CHANGES if change in named],
        segments=[kind for kind in config.segments.split(",") if kind],
        progress=_steps,
    )
    print_results(config.out)


def experiment(config: ExperimentTrialsConfig) -> None:
    """How often an experiment's intervals miss the truth when one looks again and again."""
    from pipelines.benchmarks import experiment as benchmark

    results = benchmark.run(n_trials=config.trials, n_units=config.units, looks=config.looks)
    write_results(config.out, results)
    print_results(config.out)


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
    write_results(config.out, results)
    print_results(config.out)


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
    print_results(config.out)


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
    print_results(config.out)


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
    print_results(config.out)


def labelling(config: LabellingConfig) -> None:
    """Labels drawn as proposed beside evenly: error, spread, and the spread that is stated."""
    from pipelines.benchmarks import labelling as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, requests=config.requests,
        draws=config.draws,
    )  # fmt: skip
    print_results(config.out)


def onboarding(config: OnboardingConfig) -> None:
    """Each endpoint of mix hidden and onboarded by its price, and by 200 outcomes."""
    from pipelines.benchmarks import onboarding as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, requests=config.requests,
        labels=config.labels, endpoints=config.endpoints,
    )  # fmt: skip
    print_results(config.out)


def cold_start(config: ColdStartConfig) -> None:
    """A router from a benchmark card alone, in the real service, taught by its own log."""
    from pipelines.benchmarks import cold_start as benchmark

    plan = benchmark.Plan(rounds=config.rounds, requests=config.requests)
    seeds = tuple(range(config.seeds))
    benchmark.run(_data(config.data), config.out, cache=config.cache, seeds=seeds, plan=plan)
    print_results(config.out)


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
    print_results(config.out)


def rollback(config: RollbackTrialsConfig) -> None:
    """How often the loop rolls back a champion that is not worse, and how soon one that is."""
    from pipelines.benchmarks import rollback_trials as benchmark

    benchmark.run(config.out, n_trials=config.trials)
    print_results(config.out)


def sessions(config: SessionsConfig) -> None:
    """Multi-turn traffic under prompt caches: switch costs, always switching, always pinning."""
    from pipelines.benchmarks import sessions as benchmark

    benchmark.run(
        _data(config.data), config.out, cache=config.cache, conversations=config.conversations
    )
    print_results(config.out)


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
    print_results(config.out)


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
    print_results(config.out)


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
    print_results(config.out)


def scale_evaluation(config: ScaleEvaluationConfig) -> None:
    """Time and memory of judging one to ten million scored requests."""
    from pipelines.benchmarks import scale_evaluation as benchmark

    benchmark.run(config.out, sizes=config.sizes, folder=config.folder, say=console.print)
    print_results(config.out)


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
    print_results(config.out)


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
