"""A bundle becomes a version in the registry, with the alias challenger."""

from __future__ import annotations

import json

from pipelines.artifacts import TrainedFolder
from pipelines.config import RegisterConfig
from pipelines.registry.tracking import (
    KEY,
    LoggedBundle,
    end_unfinished,
    log_training_run,
    read_parity,
    registry_errors,
    version_tags,
)
from pipelines.registry.versions import CHALLENGER, CHAMPION, registry_client
from router_ml.bundle.files import read_bundle
from router_ml.errors import ConfigError


def run(config: RegisterConfig) -> str:
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
    return record(config)[1]


def record(config: RegisterConfig, *, register: bool = True) -> tuple[LoggedBundle, str]:
    """Record a run with the bundle, and register it if wanted; the run, and the version or ``""``.

    Raises as :func:`run` does.
    """
    _check_trained(config)
    if register and config.key and (known := _registered(config)) is not None:
        return known
    logged = log_training_run(config)
    if not register:
        return logged, ""
    tags = {**version_tags(config), "bundle_id": read_bundle(config.bundle).manifest.bundle_id}
    if (parity := read_parity(config)) is not None:
        tags["parity"] = json.dumps(parity)
    with registry_errors("register a version"):
        client = registry_client()
        if not client.search_registered_models(f"name = '{config.name}'"):
            client.create_registered_model(config.name)
        found = client.create_model_version(
            config.name,
            logged.model_uri,
            logged.run_id,
            {**tags, **logged.headline},
            description=logged.note,
            model_id=logged.model_id,
        )
        client.set_registered_model_alias(config.name, CHALLENGER, found.version)
    return logged, str(found.version)


def _registered(config: RegisterConfig) -> tuple[LoggedBundle, str] | None:
    """The run and version that have the key already, with the alias ``challenger``."""
    with registry_errors("look for a version"):
        client = registry_client()
        found = client.search_model_versions(
            f"name = '{config.name}' and tags.{KEY} = '{config.key}'"
        )
        if not found:
            end_unfinished(client, config)
            return None
        version = found[0]
        aliases = client.get_registered_model(config.name).aliases
        if str(aliases.get(CHAMPION)) != str(version.version):
            client.set_registered_model_alias(config.name, CHALLENGER, version.version)
    return LoggedBundle(version.run_id, version.source, version.model_id or ""), str(
        version.version
    )


def _check_trained(config: RegisterConfig) -> None:
    """A version must not be judged by what another training held out."""
    if config.trained is None or not TrainedFolder(config.trained).report.is_file():
        return
    report = json.loads(TrainedFolder(config.trained).report.read_text(encoding="utf-8"))
    mine = read_bundle(config.bundle).manifest.training.get("training_id")
    if report.get("training_id") != mine:
        raise ConfigError(
            f"the bundle {config.bundle} was not exported from {config.trained} (training "
            f"{mine or 'unknown'}, there {report.get('training_id') or 'unknown'}); export again, "
            "or name the folder it came from as trained"
        )
