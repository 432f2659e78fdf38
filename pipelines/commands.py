"""What each command does, and what it prints: one function a command, its config the argument."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pipelines import artifacts
from pipelines.config import (
    CertifyConfig,
    DemoConfig,
    DiffConfig,
    EvaluateConfig,
    ExportConfig,
    FitRoutesConfig,
    GatewayConfig,
    InspectConfig,
    JoinConfig,
    LabelConfig,
    MonitorConfig,
    OnboardConfig,
    PromoteConfig,
    RegisterConfig,
    ReportConfig,
    RollbackConfig,
    RouteConfig,
    SearchConfig,
    ServeConfig,
    TrainConfig,
)
from pipelines.console import console, print_table, shares
from router_ml.errors import ConfigError


def inspect(config: InspectConfig) -> None:
    """Look at files and print the configuration of a run for them, as YAML with the evidence."""
    from pipelines.inspect.draft import draft

    sys.stdout.write(draft(config.files))


def join(config: JoinConfig) -> None:
    """Request log, labels and prices to outcomes, rejects and a report."""
    from pipelines.stages import join as stage

    with shares() as advance:
        folder = stage.run(config, progress=advance)
    console.print(
        artifacts.JoinedFolder(folder).summary.read_text(encoding="utf-8"),
        highlight=False,
        markup=False,
    )
    console.print(f"written to {folder}")


def train(config: TrainConfig) -> None:
    """Outcomes to fitted estimators and a solved policy."""
    from pipelines.stages import train as stage

    folder = stage.run(config)
    report = _read(artifacts.TrainedFolder(folder).report)
    console.print_json(data={key: report[key] for key in ("labelled_cells", "selection", "policy")})
    console.print(f"written to {folder}")


def search(config: SearchConfig) -> None:
    """Find the estimator that routes best within an allowance, and say how much of that is luck."""
    from pipelines.stages import search as stage

    folder = stage.run(config)
    console.print(f"for train --config: {artifacts.SearchFolder(folder).quality}")


def export(config: ExportConfig) -> None:
    """Fitted estimators to a bundle, parity proven."""
    from pipelines.stages import export as stage

    bundle = stage.run(config)
    console.print_json(artifacts.ExportFolder(bundle.parent).parity.read_text(encoding="utf-8"))
    console.print(f"bundle: {bundle}")


def evaluate(config: EvaluateConfig) -> None:
    """A bundle judged on full information, or on a log's test split."""
    from pipelines.stages import evaluate as stage

    console.print(f"written to {stage.run(config)}")


def fit_routes(config: FitRoutesConfig) -> None:
    """Labelled utterances to semantic routes, with thresholds found on held-out ones."""
    from pipelines.stages import fit_routes as stage

    folder = stage.run(config)
    report = _read(folder / "routes.json")["report"]
    print_table(
        "Held-out utterances",
        ["route", "utterances", "threshold", "precision", "recall"],
        [stage.line(name, row) for name, row in report["routes"].items()],
    )
    console.print(
        f"accuracy {report['accuracy']:.3f}, out of scope left alone "
        f"{report['out_of_scope_left_alone']:.3f}, ECE {report['ece']:.3f}",
        highlight=False,
    )
    console.print(f"written to {folder}")


def report(config: ReportConfig) -> None:
    """An evaluated router as one HTML page: how good, on what, where it loses, how to repeat it."""
    from pipelines.report.router_report import ReportSources, write_report

    sources = ReportSources(config.evaluation, config.bundle, config.trained, config.joined)
    console.print(f"written to {write_report(config.output, sources)}")


def diff(config: DiffConfig) -> None:
    """Two routers on the same requests: what moves, what it does, where; @champion @challenger."""
    from pipelines.stages import diff as stage

    stage.run(config)


def onboard(config: OnboardConfig) -> None:
    """A newly released candidate: where it would win, what it takes to know, a bundle for that."""
    from pipelines.api.onboarding import from_config
    from pipelines.printing import print_onboarding

    found = from_config(config)
    console.print(found.text, highlight=False, markup=False)
    print_onboarding(found.as_dict())
    console.print(f"bundle that explores it: {found.save(config.output)}")


def label(config: LabelConfig) -> None:
    """Which requests to judge next: propose them, ask a judge, read verdicts back as labels."""
    from pipelines.stages import label as stage

    stage.run(config)


def certify(config: CertifyConfig) -> None:
    """The cheapest operating point that keeps a quality floor with confidence, as a new bundle."""
    from pipelines.stages import certify as stage

    bundle = stage.run(config)
    report = _read(artifacts.ExportFolder(bundle.parent).certificate)
    console.print(f"On {report['basis']}: {report['text']}.", markup=False, highlight=False)
    console.print(f"bundle: {bundle}")


def register(config: RegisterConfig) -> None:
    """A bundle becomes a version in the registry, with the alias challenger."""
    from pipelines.stages import register as stage

    console.print(f"registered as version {stage.run(config)}, alias challenger")


def promote(config: PromoteConfig) -> None:
    """The challenger becomes the champion, if the gate lets it."""
    from pipelines.stages import promote as stage

    report = stage.run(config)
    report.require_promoted()
    console.print(report.text, highlight=False, markup=False)


def rollback(config: RollbackConfig) -> None:
    """The champion before this one becomes the champion again."""
    from pipelines.stages import promote as stage

    version = stage.rollback(config.name, by=config.by, reason=config.reason)
    console.print(f"champion is version {version} again")


def serve(config: ServeConfig) -> None:
    """The scoring service (docs/reference/serving.md)."""
    # The service is a program of its own, which [serve] alone runs: become it.
    named = {key: str(getattr(config, key)) for key in ("bundle", "host", "port", "workers")}
    os.environ.update({f"ROUTER_SERVE_{key.upper()}": value for key, value in named.items()})
    os.execv(sys.executable, [sys.executable, "-m", "serving"])


def gateway(config: GatewayConfig) -> None:
    """An OpenAI-compatible endpoint in front of every candidate: LiteLLM's proxy."""
    from router_ml.bundle.files import read_bundle
    from router_ml.integrations.litellm.catalogue import Catalogue
    from router_ml.integrations.litellm.proxy_config import GatewaySettings, write_gateway

    program = config.litellm or str(Path(sys.executable).with_name("litellm"))
    catalogue = Catalogue.read(config.catalogue)
    settings = GatewaySettings(
        router=config.router,
        candidates=catalogue.names,
        default=catalogue.default,
        log=str((config.output / "requests.jsonl").absolute()),
        timeout_ms=config.timeout_ms,
        max_depth=config.max_depth,
        max_cost_usd=config.max_cost_usd,
        max_seconds=config.max_seconds,
    )
    written, variables = write_gateway(config.output, catalogue, settings)
    if not config.run:
        console.print(f"written to {config.output}", highlight=False)
        return
    if shutil.which(program) is None:
        raise ConfigError(
            f"{program} is not there: install '.[litellm]' with constraints-litellm.txt in an "
            "environment of its own, and run this from there or name --litellm"
        )
    if not os.environ.get("LITELLM_MASTER_KEY"):
        raise ConfigError(
            "LITELLM_MASTER_KEY must be set, the key that callers bring: "
            "export LITELLM_MASTER_KEY=sk-$(openssl rand -hex 24)"
        )
    if missing := [name for name in catalogue.variables() if not os.environ.get(name)]:
        raise ConfigError(f"{config.catalogue} reads {', '.join(missing)}: export them first")
    if config.router and not settings.is_service:
        read_bundle(Path(config.router))  # what is wrong with it is said here, not by LiteLLM
    os.environ.update(variables)
    # Prices stand in the catalogue; without this LiteLLM fetches its own list at every start.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    words = ["--config", str(written), "--host", config.host, "--port", str(config.port)]
    os.execvp(program, [program, *words])


def route(config: RouteConfig) -> None:
    """One decision, without a service."""
    from router_ml.features.query import parse_query
    from router_ml.runtime.constraints import Constraints
    from router_ml.runtime.runtime import Runtime

    text = sys.stdin.read() if config.query == "-" else config.query
    constraints = Constraints(cost_weight=config.cost_weight, max_cost_usd=config.max_cost_usd)
    decision = Runtime.from_folder(config.bundle).decide(parse_query(text), constraints)
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


def demo(config: DemoConfig) -> None:
    """From a log to a promoted router that answers, and the table that says what it saves."""
    from pipelines.stages import demo as stage

    stage.run(config)


def run(config: Any) -> None:
    """The whole way in one command: log, labels and prices to a challenger and a gate report."""
    from pipelines.stages import run as stage

    report = stage.run(config)
    console.print(report.text, highlight=False, markup=False, soft_wrap=True)


def monitor(config: MonitorConfig) -> None:
    """Watch a decision log: what drifts, since when, by which evidence, and what to do."""
    from pipelines.stages import monitor as stage

    console.print(f"written to {stage.run(config)}", highlight=False)


def loop(config: Any) -> None:
    """Retrain as a service: new log, drift, retraining, gate, shadow, promotion, watch; status."""
    from pipelines.loop import machine, status

    if config.action == "status":
        status.show(config)
    elif code := machine.run(config):
        raise SystemExit(code)


def simulate(config: Any) -> None:
    """Traffic of known truth through the service, retraining after every round."""
    from pipelines.simulation import simulate as stage

    stage.run(config)


def _read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
