"""The process that follows a registry address: ``python -m serving.loading.registry_watch URI …``.

Every interval it prints one JSON line, ``{"name", "version", "folder"}`` or ``{"error"}``; it ends
when its standard input does, so it never outlives the service.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

from router_ml.bundle.files import GRAPH, MANIFEST
from router_ml.errors import RegistryError
from serving.loading.sources import parse_uri


def main() -> None:
    """Watch until standard input is closed."""
    parser = argparse.ArgumentParser(description="Follow a registry address for the service.")
    parser.add_argument("uri")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--interval", type=float, required=True)
    arguments = parser.parse_args()
    os.nice(10)  # requests come first
    out, sys.stdout = sys.stdout, sys.stderr  # MLflow may print
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    while True:
        _report(out, arguments.uri, arguments.cache)
        if select.select([sys.stdin], [], [], arguments.interval)[0]:
            return


def resolve(uri: str, cache: Path) -> dict[str, str]:
    """Find the version an address points at, and fetch its bundle unless it is there.

    Raises
    ------
    RegistryError
        If the registry cannot be reached, or has no such version, or that has no bundle.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    name, alias, version = parse_uri(uri)
    client = MlflowClient()
    try:
        if alias is not None:
            found = client.get_model_version_by_alias(name, alias)
        else:
            found = client.get_model_version(name, str(version))
    except MlflowException as error:
        raise RegistryError(f"cannot resolve {uri}: {error}") from error
    digest = hashlib.sha256(str(found.source).encode()).hexdigest()[:8]
    folder = cache / f"{name}-{found.version}-{digest}"
    if not folder.exists():
        _fetch(found, folder)
    return {"name": name, "version": str(found.version), "folder": str(_bundle_in(folder))}


def _fetch(found: Any, folder: Path) -> None:
    """Download beside the folder and rename, so that nobody reads half of it."""
    from mlflow.artifacts import download_artifacts

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        uri = f"models:/{found.name}/{found.version}"
        download_artifacts(artifact_uri=uri, dst_path=str(scratch))
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.exists():  # else another worker was faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _bundle_in(folder: Path) -> Path:
    """The one folder inside that holds a manifest and a graph."""
    found = [p.parent for p in folder.rglob(MANIFEST) if (p.parent / GRAPH).is_file()]
    if len(found) != 1:
        raise RegistryError(
            f"expected one bundle ({MANIFEST} beside {GRAPH}) in the model version's artifacts, "
            f"found {len(found)}; register it with `router-ml register`"
        )
    return found[0]


def _report(out: TextIO, uri: str, cache: Path) -> None:
    try:
        line: dict[str, str] = resolve(uri, cache)
    except Exception as error:
        # MLflow, SQLAlchemy and storage back ends raise anything; the watch goes on.
        line = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
