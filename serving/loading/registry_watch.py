"""The process that follows a registry address: ``python -m serving.loading.registry_watch URI …``.

Every interval, and when its standard input says anything, it prints one JSON line, ``{"name",
"version", "folder"}`` or ``{"error"}``; it ends when its standard input does, so it never outlives
the service.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final, TextIO

from router_ml.bundle.files import read_bundle
from router_ml.errors import BundleError, RegistryError
from router_ml.integrations.mlflow_bundles import PARTIAL, bundle_in, fetch_version
from serving.loading.sources import parse_uri
from serving.reasons import RedactingStream, redact

_KEPT: Final = 4
"""Bundle folders of a name that are kept, those looked at last."""
_ABANDONED_S: Final = 3_600.0
_WAKE_BYTES: Final = 4_096


class Cache:
    """Bundles fetched from the registry, one folder a version.

    Parameters
    ----------
    folder : created when missing; services that follow other names may share it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[tuple[Path, float]] = set()
        self._refetched: set[Path] = set()

    def bundle(self, found: Any) -> Path:
        """Folder of the bundle of a model version: fetched when missing, or when damaged here.

        What the registry itself holds may be wrong, too: it is fetched again once only.
        """
        digest = hashlib.sha256(str(found.source).encode()).hexdigest()[:8]
        folder = self.folder / f"{found.name}-{found.version}-{digest}"
        if folder.exists() and folder not in self._refetched and not self._is_whole(folder):
            self._refetched.add(folder)
            shutil.rmtree(folder, ignore_errors=True)
        bundle = fetch_version(found.name, found.version, folder)
        os.utime(folder)
        self._prune(found.name, folder)
        return bundle

    def _is_whole(self, folder: Path) -> bool:
        """Whether the files have the digests of their manifest; read again only when changed."""
        try:
            bundle = bundle_in(folder)
            changed = max(path.stat().st_mtime for path in bundle.iterdir())
            if (folder, changed) not in self._verified:
                read_bundle(bundle)
                self._verified.add((folder, changed))
        except (BundleError, RegistryError, OSError, ValueError):
            return False
        return True

    def _prune(self, name: str, current: Path) -> None:
        """Remove versions that were not looked at lately, and downloads that were abandoned."""
        ages = {path: time.time() - path.stat().st_mtime for path in self.folder.iterdir()}
        versions = [p for p in ages if p.is_dir() and p.name.rsplit("-", 2)[0] == name]
        newest = sorted(versions, key=ages.__getitem__)[:_KEPT]
        for path, age in ages.items():
            old = path in versions and path not in newest and path != current
            if old or (path.name.startswith(PARTIAL) and age > _ABANDONED_S):
                shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Watch until standard input is closed."""
    parser = argparse.ArgumentParser(description="Follow a registry address for the service.")
    parser.add_argument("uri")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--interval", type=float, required=True)
    arguments = parser.parse_args()
    os.nice(10)  # requests come first
    # MLflow may print, and what it prints may hold the registry's address.
    out, sys.stderr = sys.stdout, RedactingStream(sys.stderr)
    sys.stdout = sys.stderr
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # The watch tries again by itself; MLflow's own seven retries take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    cache = Cache(arguments.cache)
    while True:
        _report(out, arguments.uri, cache)
        asked = select.select([sys.stdin], [], [], arguments.interval)[0]
        if asked and not os.read(sys.stdin.fileno(), _WAKE_BYTES):
            return


def resolve(uri: str, cache: Cache) -> dict[str, str]:
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
    return {"name": name, "version": str(found.version), "folder": str(cache.bundle(found))}


def _report(out: TextIO, uri: str, cache: Cache) -> None:
    try:
        line: dict[str, str] = resolve(uri, cache)
    except Exception as error:
        # MLflow, SQLAlchemy and storage back ends raise anything; the watch goes on.
        line = {"error": redact(f"{type(error).__name__}: {error}")}
    print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
