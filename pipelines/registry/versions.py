"""Versions of the router in the MLflow registry, and which of them is champion.

The alias ``challenger`` is the newest version, ``champion`` the one in service. The registered
model's tag ``champions`` is the stack that ``rollback`` pops; its tag ``looks`` names the
comparisons held with the present champion, which the gate's ``spending`` counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pipelines.artifacts import JoinedFolder
from pipelines.config import PromoteConfig
from pipelines.registry.promotion import PromotionReport
from pipelines.registry.tracking import file_digest, load_mlflow, registry_errors
from router_ml.data.held_out import HELD_OUT, HeldOut
from router_ml.errors import ChampionMovedError, RegistryError
from router_ml.evaluation.gate.pairing import Contender
from router_ml.integrations.mlflow_bundles import fetch_version
from router_ml.runtime.runtime import Runtime

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
CHAMPIONS: Final = "champions"
LOOKS: Final = "looks"
NOBODY: Final = "none"


def registry_client() -> Any:
    """A client of the registry that ``MLFLOW_TRACKING_URI`` names."""
    load_mlflow()
    from mlflow.tracking import MlflowClient

    return MlflowClient()


def champion_version(name: str = "router") -> str | None:
    """Version with the alias ``champion``; ``None`` before the first."""
    with registry_errors(f"look up the champion of {name}"):
        version = registry_client().get_registered_model(name).aliases.get(CHAMPION)
    return None if version is None else str(version)


def download_bundle(name: str, version: str, folder: Path) -> Path:
    """Fetch a version's bundle below ``folder``; returns the bundle's folder.

    Raises
    ------
    RegistryError
        If the version cannot be fetched, or holds no bundle.
    """
    load_mlflow()
    with registry_errors(f"fetch version {version} of {name}"):
        return fetch_version(name, version, folder / version)


def contender(client: Any, name: str, version: str, folder: Path) -> Contender:
    """A version as it serves, with what it held out in training, if its run recorded that."""
    bundle = download_bundle(name, version, folder)
    run_id = client.get_model_version(name, version).run_id
    path, held_out = f"trained/{HELD_OUT}", None
    if path in [file.path for file in client.list_artifacts(run_id, "trained")]:
        held_out = HeldOut.load(
            Path(client.download_artifacts(run_id, path, str(folder / version))).parent
        )
    return Contender(Runtime.from_folder(bundle, random_state=0), held_out)


def challenger_version(client: Any, config: PromoteConfig) -> Any:
    """The version to judge: the one named, else the one with the alias ``challenger``."""
    if config.version is not None:
        return client.get_model_version(config.name, str(config.version))
    version = client.get_registered_model(config.name).aliases.get(CHALLENGER)
    if version is None:
        raise RegistryError(
            f"no version of {config.name} has the alias {CHALLENGER}; register one, or name a "
            "version"
        )
    return client.get_model_version(config.name, version)


def judged_by_its_own(client: Any, config: PromoteConfig, version: Any) -> PromoteConfig:
    """Where no log and no matrix is named: those that the version was registered with, if there."""
    if config.joined is not None or config.matrix is not None:
        return config
    params = client.get_run(version.run_id).data.params
    joined, matrix = (
        path if (path := Path(params.get(f"register.{key}", "null"))).exists() else None
        for key in ("joined", "matrix")
    )
    return replace(config, joined=joined, matrix=matrix)


def champion_history(client: Any, name: str) -> list[str]:
    """Champions so far, the present one last, also if someone moved the alias by hand."""
    model = client.get_registered_model(name)
    history = [version for version in model.tags.get(CHAMPIONS, "").split(",") if version]
    present = model.aliases.get(CHAMPION)
    if present is not None and history[-1:] != [str(present)]:
        history.append(str(present))
    return history


def check_champion(client: Any, name: str, expected: str | None) -> None:
    """Look once more, right before the alias moves: the registry has no compare-and-set.

    What remains is the time between this answer and the next request, some milliseconds: who moves
    the alias within it is overruled, and stands in the history all the same.

    Raises
    ------
    ChampionMovedError
        If another version is champion than was judged against.
    """
    present = client.get_registered_model(name).aliases.get(CHAMPION)
    if (present and str(present)) != expected:
        raise ChampionMovedError(
            f"the champion of {name} is version {present or NOBODY}, but version "
            f"{expected or NOBODY} was judged; somebody moved the alias meanwhile: judge again"
        )


def set_champion(client: Any, name: str, version: str, *, expected: str | None) -> None:
    """Move the alias; the alias ``challenger`` is free for the next one.

    May be done again: a version that is champion already stays so, and stands in the history once.

    Raises
    ------
    ChampionMovedError
        See :func:`check_champion`.
    """
    history = champion_history(client, name)
    if history[-1:] != [version]:
        check_champion(client, name, expected)
        history.append(version)
    client.set_registered_model_alias(name, CHAMPION, version)
    client.set_registered_model_tag(name, CHAMPIONS, ",".join(history))
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def looks_at(
    client: Any, config: PromoteConfig, version: str, champion: str | None
) -> dict[str, Any]:
    """Comparisons held with the present champion, this one included, and its ``number``, from 1.

    Asking the same question of the same data again is no new look; another mode, margin or
    cost weight is another question.
    """
    looks = json.loads(client.get_registered_model(config.name).tags.get(LOOKS, "{}"))
    if looks.get(CHAMPION) != (champion or NOBODY):
        looks = {CHAMPION: champion or NOBODY, "held": []}
    path = config.matrix or (config.joined and JoinedFolder(config.joined).outcomes)
    data = file_digest(path)[:8] if path and path.is_file() else ""
    asked = f"{config.mode} {config.margin} {config.cost_weight} {config.support_by_region}"
    asked += f" {dict(config.guards)}" if config.guards else ""
    question = f"{version}:{data}:{sha256(asked.encode()).hexdigest()[:8]}"
    held = looks["held"] if question in looks["held"] else [*looks["held"], question]
    return {**looks, "held": held, "number": held.index(question) + 1}


def count_look(client: Any, name: str, looks: Mapping[str, Any]) -> None:
    """Count a comparison, once it has been held."""
    counted = {key: value for key, value in looks.items() if key != "number"}
    client.set_registered_model_tag(name, LOOKS, json.dumps(counted))


def record_report(client: Any, name: str, version: Any, report: PromotionReport) -> None:
    """Put a report on the version's tags and, in full, among its run's artifacts."""
    tags = {
        "gate_passed": str(report.passed).lower(),
        "gate_mode": report.gate.mode,
        "gate_look": str(report.look),
        "gate_champion": report.champion,
        "gate_verdict": report.gate.verdict,
        "propensity_source": report.propensity_source,
        "gate_at": now(),
        "gate": json.dumps(report.gate.as_dict()),
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


def predecessor(client: Any, name: str) -> str | None:
    """The champion before the present one; ``None`` where there was none."""
    history = champion_history(client, name)
    return history[-2] if len(history) > 1 else None


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
