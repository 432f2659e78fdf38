"""Bundles of the versions that served a log, so that their requests can be balanced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.artifacts import JoinedFolder
from pipelines.registry.versions import download_bundle
from router_ml.errors import RegistryError
from router_ml.runtime.runtime import Runtime

MAX_VERSIONS: Final = 12
"""Versions of a log that are fetched, those with the most requests."""


def open_loggers(bundles: Mapping[str, Path]) -> dict[str, Runtime]:
    """Versions to their runtimes."""
    return {version: Runtime.from_folder(path) for version, path in bundles.items()}


def registered_loggers(
    client: Any, name: str, joined: Path | None, folder: Path
) -> dict[str, Runtime]:
    """Runtimes of the versions of ``name`` that served a log, as far as the registry has them.

    None where one version served all of it.
    """
    if joined is None or not (outcomes := JoinedFolder(joined).outcomes).is_file():
        return {}
    versions = pq.read_table(outcomes, columns=["policy_version"])["policy_version"]
    counts = sorted(pc.value_counts(versions).to_pylist(), key=lambda row: -row["counts"])
    if len(counts) < 2:
        return {}
    known = {str(version.version) for version in client.search_model_versions(f"name='{name}'")}
    found = {}
    for row in counts[:MAX_VERSIONS]:
        if (version := row["values"]) in known:
            try:
                found[version] = Runtime.from_folder(download_bundle(name, version, folder))
            except RegistryError:  # one whose artifacts are gone is estimated like a foreign one
                continue
    return found
