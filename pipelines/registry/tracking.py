"""An MLflow run for a bundle: how it was made, from what, how good it is, and the bundle itself."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import math
import os
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pandas as pd
import yaml

from pipelines.artifacts import EvaluationFolder, ExportFolder, TrainedFolder
from pipelines.config import RegisterConfig, resolved
from pipelines.registry.headline import headline, headline_metrics, note, run_name
from pipelines.report.router_report import ReportSources, write_report
from router_ml.bundle.files import MANIFEST, read_bundle
from router_ml.data.held_out import HELD_OUT
from router_ml.errors import ConfigError, RegistryError
from router_ml.integrations.wandb import log_run

MODEL: Final = "bundle"
"""Name of the logged model, and of the bundle's folder among its artifacts."""
KEY: Final = "register_key"
"""Tag of a run and of its version: what it was made from."""
_CODE: Final = Path(__file__).with_name("pyfunc_model.py")
_REQUIREMENTS: Final = ("mlflow", "numpy", "onnxruntime", "orjson", "pandas", "tokenizers")
_STAGE_FILES: Final = {
    "joined": ("config.yaml", "report.json", "report.md"),
    "trained": ("train.yaml", "training.json", HELD_OUT),
    "evaluation": ("evaluation.json", "cost_quality.png", "reliability.png"),
}
_STAGE_CONFIGS: Final = {"joined": "config.yaml", "trained": "train.yaml"}
_DATASETS: Final = ("outcomes.parquet", "prices.parquet")
_TRAINING_METRICS: Final = ("rows", "queries", "labelled_cells", "cost_bias_in_sample")
_EVALUATION_METRICS: Final = (
    "rows",
    "policies",
    "ece",
    "cost_bias",
    "effective_sample_size",
    "shares",
)
_MAX_PARAM: Final = 500
_EXAMPLE: Final = {
    "query": ["How does dough rise?"],
    "tools": ["[]"],
    "constraints": ['{"max_cost_usd": 0.01}'],
}
_QUIET: Final = ("mlflow", "alembic")


@dataclass(frozen=True, slots=True)
class LoggedBundle:
    """Where a bundle went: the run, the logged model's address and id; and what is said of it.

    Parameters
    ----------
    note : Markdown, for people
    headline : tags of a version: what it is compared by, as text
    """

    run_id: str
    model_uri: str
    model_id: str
    note: str = ""
    headline: Mapping[str, str] = field(default_factory=dict)


def load_mlflow() -> Any:
    """Import MLflow, without telemetry and without its chatter."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        # MLflow warns of a type hint in its own code while it is imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
        mlflow = importlib.import_module("mlflow")
        importlib.import_module("mlflow.pyfunc")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


@contextmanager
def registry_errors(what: str) -> Iterator[None]:
    """Turn whatever MLflow and its stores raise into a RegistryError that says what was tried."""
    mlflow = load_mlflow()
    sqlalchemy = importlib.import_module("sqlalchemy.exc")
    try:
        yield
    except (mlflow.MlflowException, sqlalchemy.SQLAlchemyError, OSError) as error:
        raise RegistryError(f"cannot {what} at {mlflow.get_tracking_uri()}: {error}") from error


def log_training_run(config: RegisterConfig) -> LoggedBundle:
    """Record a run: parameters, configs, commit, dataset digests, metrics, figures, the bundle.

    The run is a new one, or the one that ``mlflow run`` has started. What was not named in
    ``config`` is not recorded.

    Raises
    ------
    BundleError
        If the bundle cannot be read.
    RegistryError
        If the tracking store cannot be reached.
    """
    bundle = read_bundle(config.bundle)
    manifest = bundle.manifest
    evaluation, training = _evaluation(config), _training_config(config)
    mlflow = load_mlflow()
    with registry_errors("record a run"):
        set_experiment(mlflow, config.experiment)
        name = run_name(bundle, training)
        about = note(bundle, evaluation, training)
        with mlflow.start_run(run_name=name, description=about) as run:
            mlflow.set_tags({**git_tags(), **version_tags(config), "bundle_id": manifest.bundle_id})
            if evaluation is not None and "verdict" in evaluation:
                mlflow.set_tag("verdict", evaluation["verdict"])
            mlflow.log_params(_params(config))
            _log_files(mlflow, config)
            _log_datasets(mlflow, config)
            info = _log_model(mlflow, config.bundle)
            # On the model, too, by which versions are compared. After it: of every metric that a
            # run has already, MLflow would ask for the history.
            mlflow.log_metrics(_metrics(config), model_id=info.model_id)
            if evaluation is not None:
                _log_report(mlflow, config, evaluation)
            if config.wandb_project:
                log_run(
                    project=config.wandb_project,
                    name=name,
                    params=_params(config),
                    metrics=_metrics(config),
                    files=_files(config),
                )
            said = {} if evaluation is None else headline(evaluation)
            return LoggedBundle(
                run.info.run_id,
                info.model_uri,
                info.model_id,
                note=about,
                headline={key: f"{value['value']:.4g}" for key, value in said.items()},
            )


def version_tags(config: RegisterConfig) -> dict[str, str]:
    """What a config says of run and version."""
    return {**config.tags, **({KEY: config.key} if config.key else {})}


def end_unfinished(client: Any, config: RegisterConfig) -> None:
    """Mark runs of the same key that a kill left running: their version was never registered."""
    found = client.get_experiment_by_name(config.experiment)
    if found is None:
        return
    left = client.search_runs(
        [found.experiment_id], f"tags.{KEY} = '{config.key}' and attributes.status = 'RUNNING'"
    )
    for run in left:
        client.set_terminated(run.info.run_id, "KILLED")


def read_parity(config: RegisterConfig) -> dict[str, Any] | None:
    """What ``export`` proved about the bundle, ``None`` where it left nothing."""
    path = config.parity or ExportFolder(config.bundle.parent).parity
    return _read_json(path) if path.is_file() else None


def git_tags() -> dict[str, str]:
    """Commit of the working folder, and whether it was changed since; empty outside of git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {
            "mlflow.source.git.commit": commit,
            "git_dirty": str(bool(_git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*arguments: str) -> str:
    command = ("git", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def set_experiment(mlflow: Any, name: str) -> None:
    """Choose the experiment; for a SQLite store its artifacts go beside the database."""
    if os.environ.get("MLFLOW_RUN_ID") or mlflow.active_run() is not None:
        return  # the run is there already, in the experiment its starter chose
    uri = str(mlflow.get_tracking_uri())
    if mlflow.get_experiment_by_name(name) is None:
        location = None
        if uri.startswith("sqlite:///"):
            folder = Path(unquote(uri.removeprefix("sqlite:///"))).resolve().parent
            location = (folder / "mlartifacts" / name).as_uri()
        mlflow.create_experiment(name, artifact_location=location)
    mlflow.set_experiment(name)


def _params(config: RegisterConfig) -> dict[str, str]:
    """Every key of the stages' configs, as ``stage.key``; long values are cut."""
    params = {f"register.{key}": _text(value) for key, value in resolved(config).items()}
    for stage, file in _STAGE_CONFIGS.items():
        folder = getattr(config, stage)
        if folder is not None and (folder / file).is_file():
            values = yaml.safe_load((folder / file).read_text(encoding="utf-8"))
            params |= {f"{stage}.{key}": _text(value) for key, value in values.items()}
    return params


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _MAX_PARAM else text[: _MAX_PARAM - 1] + "…"


def _files(config: RegisterConfig) -> list[Path]:
    """Configs, reports and figures of the stages, as far as they are there."""
    folders = ((getattr(config, stage), names) for stage, names in _STAGE_FILES.items())
    return [folder / name for folder, names in folders if folder is not None for name in names]


def _log_files(mlflow: Any, config: RegisterConfig) -> None:
    """Configs, reports and figures, in a folder for each stage."""
    for stage, names in _STAGE_FILES.items():
        folder = getattr(config, stage)
        if folder is None:
            continue
        if not folder.is_dir():
            raise ConfigError(f"{stage} must be a folder that its stage wrote, got {folder}")
        for name in names:
            if (folder / name).is_file():
                mlflow.log_artifact(str(folder / name), artifact_path=stage)
    if (parity := read_parity(config)) is not None:
        mlflow.log_dict(parity, "export/parity.json")
    mlflow.log_text(yaml.safe_dump(resolved(config), sort_keys=False), "register/config.yaml")


def _log_datasets(mlflow: Any, config: RegisterConfig) -> None:
    """Digest of every table that training and evaluation read."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]

    tables: list[tuple[Path, str]] = []
    if config.joined is not None:
        tables += [(config.joined / name, "training") for name in _DATASETS]
    if config.matrix is not None:
        tables.append((config.matrix, "evaluation"))
    for path, context in tables:
        source = LocalArtifactDatasetSource(str(path))
        dataset = MetaDataset(  # type: ignore[abstract]
            source, name=path.stem, digest=file_digest(path)
        )
        mlflow.log_input(dataset, context=context)


def file_digest(path: Path) -> str:
    """First 16 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _metrics(config: RegisterConfig) -> dict[str, float]:
    """Numbers of evaluation, parity and training; ``policy/metric`` with its interval beside it."""
    found: dict[str, float] = {}
    if (parity := read_parity(config)) is not None:
        found |= _flatten("parity", parity)
    if config.trained is not None and TrainedFolder(config.trained).report.is_file():
        report = _read_json(TrainedFolder(config.trained).report)
        found |= _flatten("training", {k: report[k] for k in _TRAINING_METRICS if k in report})
    if (judged := _evaluation(config)) is not None:
        found |= headline_metrics(judged)
        found |= _flatten("evaluation", {k: judged[k] for k in _EVALUATION_METRICS if k in judged})
    return found


def _evaluation(config: RegisterConfig) -> dict[str, Any] | None:
    """What ``evaluate`` found, if it is named and there."""
    if config.evaluation is None or not EvaluationFolder(config.evaluation).report.is_file():
        return None
    return _read_json(EvaluationFolder(config.evaluation).report)


def _training_config(config: RegisterConfig) -> dict[str, Any]:
    """The config that the training was resolved to, as far as it is there."""
    path = None if config.trained is None else TrainedFolder(config.trained).config
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _log_report(mlflow: Any, config: RegisterConfig, evaluation: Mapping[str, Any]) -> None:
    """The router's page among the run's artifacts."""
    if config.evaluation is None or "segments" not in evaluation:
        return
    sources = ReportSources(config.evaluation, config.bundle, config.trained, config.joined)
    with tempfile.TemporaryDirectory(prefix="router-report-") as folder:
        mlflow.log_artifact(str(write_report(Path(folder, "report.html"), sources)))


def _flatten(prefix: str, value: Any) -> dict[str, float]:
    """Finite numbers of nested mappings by their path, in the letters that MLflow allows."""
    if isinstance(value, Mapping):
        parts = (_flatten(f"{prefix}/{key}", item) for key, item in value.items())
        return {name: number for part in parts for name, number in part.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return {}
    name = prefix.replace("%", " percent").removesuffix("/value")
    return {re.sub(r"[^\w\-. /:]", "_", name)[:250]: float(value)}


def _log_model(mlflow: Any, bundle: Path) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec("string", "query"),
                *(ColSpec("string", name, required=False) for name in ("tools", "constraints")),
            ]
        ),
        outputs=Schema(
            [
                ColSpec("string", "candidate"),
                *(
                    ColSpec("double", n)
                    for n in ("propensity", "quality", "cost_usd", "latency_ms")
                ),
            ]
        ),
    )
    with warnings.catch_warnings():
        # MLflow compares an example's index with a range, of which pandas warns.
        warnings.filterwarnings("ignore", message="Operation with range is deprecated")
        return mlflow.pyfunc.log_model(
            name=MODEL,
            python_model=str(_CODE),
            artifacts={MODEL: str(bundle)},
            code_paths=[str(_CODE.parents[2] / "router_ml")],
            pip_requirements=[_pinned(name) for name in _REQUIREMENTS],
            signature=signature,
            input_example=pd.DataFrame(_EXAMPLE),
            metadata={"manifest": MANIFEST},
        )


def _pinned(name: str) -> str:
    from importlib.metadata import version

    return f"{name}=={version(name)}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a JSON file at {path}: {error}") from error
    return value
