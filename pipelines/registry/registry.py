"""Versions of the router in the MLflow registry, and which of them is champion.

The alias ``challenger`` is the newest version, ``champion`` the one in service. The registered
model's tag ``champions`` is the stack that ``rollback`` pops; its tag ``looks`` names the
comparisons held with the present champion, which the gate's ``spending`` counts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pipelines.artifacts import REPORT
from pipelines.config import PromoteConfig, RegisterConfig
from pipelines.registry.promotion import PromotionReport, judge
from pipelines.registry.tracking import (
    file_digest,
    load_mlflow,
    log_training_run,
    read_parity,
    registry_errors,
)
from router_ml.bundle.files import MANIFEST, read_bundle
from router_ml.data.held_out import HELD_OUT, HeldOut
from router_ml.errors import ConfigError, DataError, RegistryError
from router_ml.evaluation.gate.pairing import Contender, pair
from router_ml.runtime.runtime import Runtime

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
CHAMPIONS: Final = "champions"
LOOKS: Final = "looks"
_NOBODY: Final = "none"


def register(config: RegisterConfig) -> str:
    """Record a run with the bundle, and make it a version with the alias ``challenger``.

    Returns
    -------
    The version.

    Raises
    ------
    BundleError
        If the bundle cannot be read.
    ConfigError
        If ``trained`` is not what the bundle was exported from.
    RegistryError
        If the registry cannot be reached.
    """
    _check_trained(config)
    logged = log_training_run(config)
    tags = {"bundle_id": read_bundle(config.bundle).manifest.bundle_id}
    if (parity := read_parity(config)) is not None:
        tags["parity"] = json.dumps(parity)
    with registry_errors("register a version"):
        client = _client()
        if not client.search_registered_models(f"name = '{config.name}'"):
            client.create_registered_model(config.name)
        found = client.create_model_version(
            config.name, logged.model_uri, logged.run_id, tags, model_id=logged.model_id
        )
        client.set_registered_model_alias(config.name, CHALLENGER, found.version)
    return str(found.version)


def _check_trained(config: RegisterConfig) -> None:
    """A version must not be judged by what another training held out."""
    if config.trained is None or not (config.trained / REPORT).is_file():
        return
    report = json.loads((config.trained / REPORT).read_text(encoding="utf-8"))
    mine = read_bundle(config.bundle).manifest.training.get("training_id")
    if report.get("training_id") != mine:
        raise ConfigError(
            f"the bundle {config.bundle} was not exported from {config.trained} (training "
            f"{mine or 'unknown'}, there {report.get('training_id') or 'unknown'}); export again, "
            "or name the folder it came from as trained"
        )


def promote(config: PromoteConfig) -> PromotionReport:
    """Judge the challenger, and make it champion if the gate passes or is overridden by name.

    The report goes to the version's tags (``gate``, ``gate_passed``, ``override_by`` …) and, in
    full, to the artifacts of its run (``gate/``).

    Raises
    ------
    RegistryError
        If the registry cannot be reached, has no such version, or that is champion already.
    DataError
        If the data cannot carry a comparison at all, and nobody overrides that.
    """
    with registry_errors("promote a version"):
        client = _client()
        challenger = _challenger(client, config)
        version, champion = str(challenger.version), champion_version(config.name)
        if champion == version:
            raise RegistryError(f"version {champion} of {config.name} is champion already")
        looks = _looks(client, config, version, champion)
        with tempfile.TemporaryDirectory(prefix="router-gate-") as folder:
            new = _contender(client, config.name, version, Path(folder))
            old = None
            if champion is not None:
                old = _contender(client, config.name, champion, Path(folder))
            names = (version, champion or _NOBODY)
            try:
                rows = pair(
                    new,
                    old,
                    joined=config.joined,
                    matrix=config.matrix,
                    by_region=config.support_by_region,
                    opponent=config.opponent,
                )
            except DataError as error:
                if not config.override_by:
                    raise
                report = PromotionReport.unjudged(names, config, str(error), looks["number"])
            else:
                report = judge(
                    new.runtime,
                    None if old is None else old.runtime,
                    config,
                    names=names,
                    parity=json.loads(challenger.tags.get("parity", "null")),
                    rows=rows,
                    look=looks["number"],
                )
        _count_look(client, config.name, looks)
        report = report.overridden(config.override_by, config.override_reason)
        _record(client, config.name, challenger, report)
        if report.promoted:
            _set_champion(client, config.name, version)
    return report


def rollback(name: str = "router", *, by: str = "", reason: str = "") -> str:
    """Give the alias ``champion`` back to the version that had it before.

    Returns
    -------
    The version that is champion now.

    Raises
    ------
    RegistryError
        If there is no former champion.
    """
    with registry_errors("roll back"):
        client = _client()
        history = _champion_history(client, name)
        if len(history) < 2:
            raise RegistryError(
                f"{name} has no former champion to go back to; its champions so far: "
                f"{', '.join(history) or 'none'}"
            )
        rolled_back, former = history[-1], history[-2]
        client.set_registered_model_alias(name, CHAMPION, former)
        client.set_registered_model_tag(name, CHAMPIONS, ",".join(history[:-1]))
        tags = {"rolled_back_at": _now(), "rolled_back_by": by, "rolled_back_reason": reason}
        for key, value in tags.items():
            if value:
                client.set_model_version_tag(name, rolled_back, key, value)
    return former


def champion_version(name: str = "router") -> str | None:
    """Version with the alias ``champion``; ``None`` before the first."""
    with registry_errors(f"look up the champion of {name}"):
        version = _client().get_registered_model(name).aliases.get(CHAMPION)
    return None if version is None else str(version)


def download_bundle(name: str, version: str, folder: Path) -> Path:
    """Fetch a version's bundle below ``folder``; returns the bundle's folder.

    Raises
    ------
    RegistryError
        If the version cannot be fetched, or holds no bundle.
    """
    load_mlflow()
    from mlflow.artifacts import download_artifacts

    target = folder / version
    target.mkdir(parents=True, exist_ok=True)
    with registry_errors(f"fetch version {version} of {name}"):
        download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(target))
    found = [path.parent for path in target.rglob(MANIFEST)]
    if len(found) != 1:
        raise RegistryError(
            f"expected one {MANIFEST} in version {version} of {name}, found {len(found)}; register "
            "it with `router-ml register`"
        )
    return found[0]


def _contender(client: Any, name: str, version: str, folder: Path) -> Contender:
    """A version as it serves, with what it held out in training, if its run recorded that."""
    bundle = download_bundle(name, version, folder)
    run_id = client.get_model_version(name, version).run_id
    path, held_out = f"trained/{HELD_OUT}", None
    if path in [file.path for file in client.list_artifacts(run_id, "trained")]:
        held_out = HeldOut.load(
            Path(client.download_artifacts(run_id, path, str(folder / version))).parent
        )
    return Contender(Runtime.from_folder(bundle, random_state=0), held_out)


def _client() -> Any:
    load_mlflow()
    from mlflow.tracking import MlflowClient

    return MlflowClient()


def _challenger(client: Any, config: PromoteConfig) -> Any:
    if config.version is not None:
        return client.get_model_version(config.name, str(config.version))
    version = client.get_registered_model(config.name).aliases.get(CHALLENGER)
    if version is None:
        raise RegistryError(
            f"no version of {config.name} has the alias {CHALLENGER}; register one, or name a "
            "version"
        )
    return client.get_model_version(config.name, version)


def _champion_history(client: Any, name: str) -> list[str]:
    """Champions so far, the present one last, also if someone moved the alias by hand."""
    model = client.get_registered_model(name)
    history = [version for version in model.tags.get(CHAMPIONS, "").split(",") if version]
    present = model.aliases.get(CHAMPION)
    if present is not None and history[-1:] != [str(present)]:
        history.append(str(present))
    return history


def _set_champion(client: Any, name: str, version: str) -> None:
    """Move the alias; the alias ``challenger`` is free for the next one."""
    history = [*_champion_history(client, name), version]
    client.set_registered_model_alias(name, CHAMPION, version)
    client.set_registered_model_tag(name, CHAMPIONS, ",".join(history))
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def _looks(
    client: Any, config: PromoteConfig, version: str, champion: str | None
) -> dict[str, Any]:
    """Comparisons held with the present champion, this one included, and its ``number``, from 1.

    Asking the same question of the same data again is no new look; another mode, margin or
    cost weight is another question.
    """
    looks = json.loads(client.get_registered_model(config.name).tags.get(LOOKS, "{}"))
    if looks.get(CHAMPION) != (champion or _NOBODY):
        looks = {CHAMPION: champion or _NOBODY, "held": []}
    path = config.matrix or (config.joined and config.joined / "outcomes.parquet")
    data = file_digest(path)[:8] if path and path.is_file() else ""
    asked = f"{config.mode} {config.margin} {config.cost_weight} {config.support_by_region}"
    question = f"{version}:{data}:{sha256(asked.encode()).hexdigest()[:8]}"
    held = looks["held"] if question in looks["held"] else [*looks["held"], question]
    return {**looks, "held": held, "number": held.index(question) + 1}


def _count_look(client: Any, name: str, looks: Mapping[str, Any]) -> None:
    """Count a comparison, once it has been held."""
    counted = {key: value for key, value in looks.items() if key != "number"}
    client.set_registered_model_tag(name, LOOKS, json.dumps(counted))


def _record(client: Any, name: str, version: Any, report: PromotionReport) -> None:
    tags = {
        "gate_passed": str(report.passed).lower(),
        "gate_mode": report.gate.mode,
        "gate_look": str(report.look),
        "gate_champion": report.champion,
        "gate_verdict": report.gate.verdict,
        "propensity_source": report.propensity_source,
        "gate_at": _now(),
        "gate": json.dumps(report.gate.as_dict()),
        "promoted_at": _now() if report.promoted else "",
        "override_by": report.override_by,
        "override_reason": report.override_reason,
    }
    for key, value in tags.items():
        if value:
            client.set_model_version_tag(name, version.version, key, value)
    if version.run_id:
        stem = f"gate/version-{version.version}-look-{report.look}"
        client.log_text(version.run_id, report.text, f"{stem}.txt")
        client.log_dict(version.run_id, report.as_dict(), f"{stem}.json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
