"""Bundles out of an MLflow registry: the one place that fetches them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from router_ml.bundle.files import GRAPH, MANIFEST
from router_ml.errors import RegistryError

PARTIAL: Final = ".fetch-"
"""Names of downloads begin so until they are whole."""


def fetch_version(name: str, version: str, folder: Path) -> Path:
    """Download a model version to ``folder``, and give the bundle inside.

    It is downloaded beside the folder and renamed, so that nobody reads half of it. A folder that
    is there already is left as it is.

    Raises
    ------
    RegistryError
        If the version holds no bundle. What MLflow raises is passed on.
    """
    from mlflow.artifacts import download_artifacts

    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=PARTIAL))
        try:
            download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(scratch))
            try:
                scratch.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return bundle_in(folder)


def bundle_in(folder: Path) -> Path:
    """The one folder inside that holds a manifest and a graph.

    Raises
    ------
    RegistryError
        If there is none, or more than one.
    """
    found = [path.parent for path in folder.rglob(MANIFEST) if (path.parent / GRAPH).is_file()]
    if len(found) != 1:
        raise RegistryError(
            f"expected one bundle ({MANIFEST} beside {GRAPH}) in the model version's artifacts, "
            f"found {len(found)}; register it with `router-ml register`"
        )
    return found[0]
