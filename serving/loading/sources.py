"""Where routers come from: a folder, or an address in the MLflow registry."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from router_ml.bundle.files import MANIFEST
from router_ml.errors import BundleError, ConfigError, RegistryError, RouterError
from serving.settings import Settings

_URI: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True, slots=True)
class Found:
    """What a source points at now: a version and the folder of its bundle."""

    name: str
    version: str
    folder: Path


def parse_uri(uri: str) -> tuple[str, str | None, str | None]:
    """Name, alias and version of a registry address; one of the last two is ``None``.

    Examples
    --------
    >>> parse_uri("models:/router@champion")
    ('router', 'champion', None)
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ConfigError(f"expected models:/name@alias or models:/name/version, got {uri!r}")
    return match["name"], match["alias"], match["version"]


def check_source(settings: Settings) -> None:
    """Fail early and with one line: read the folder's manifest, or parse the registry address."""
    if settings.from_registry:
        parse_uri(settings.bundle)
    else:
        FolderSource(folder=Path(settings.bundle), poll_interval_s=1.0).find()


class Source(Protocol):
    """Says, again and again, what should be in service."""

    def news(self) -> Iterator[Found | RouterError]:
        """Block until the next look is done; ends after :meth:`close`."""
        ...

    def close(self) -> None:
        """Make :meth:`news` end."""
        ...


class FolderSource:
    """A bundle folder; its version is the bundle id in the manifest, which is written last.

    Parameters
    ----------
    folder : holds ``manifest.json``
    poll_interval_s : seconds between looks
    """

    def __init__(self, *, folder: Path, poll_interval_s: float) -> None:
        self.folder = folder
        self.poll_interval_s = poll_interval_s
        self._closed = threading.Event()

    def find(self) -> Found:
        """The bundle that lies there now.

        Raises
        ------
        BundleError
            If there is none.
        """
        path = self.folder / MANIFEST
        try:
            bundle_id = str(json.loads(path.read_text(encoding="utf-8"))["bundle_id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"expected a bundle's {MANIFEST} in {self.folder}, got {error!r}; export one, or "
                "name its folder"
            ) from error
        return Found("router", bundle_id, self.folder)

    def news(self) -> Iterator[Found | RouterError]:
        """Read the manifest every interval."""
        while not self._closed.wait(self.poll_interval_s):
            try:
                yield self.find()
            except BundleError as error:
                yield error

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()


class RegistrySource:
    """A registry address, resolved by a child process (:mod:`serving.loading.registry_watch`).

    MLflow takes a second and some 100 MB to import; in a process of its own it delays neither the
    start nor a request, and a crash of it costs nothing.

    Parameters
    ----------
    uri : ``models:/name@alias`` or ``models:/name/version``
    cache_dir : bundles are downloaded to it
    poll_interval_s : seconds between looks
    """

    def __init__(self, *, uri: str, cache_dir: Path, poll_interval_s: float) -> None:
        self.uri = uri
        self.cache_dir = cache_dir
        self.poll_interval_s = poll_interval_s
        self._closed = threading.Event()
        self._child: subprocess.Popen[str] | None = None

    def news(self) -> Iterator[Found | RouterError]:
        """One item a look of the child; a dead child is started again after the interval."""
        command = [sys.executable, "-m", "serving.loading.registry_watch", self.uri]
        command += ["--cache", str(self.cache_dir), "--interval", str(self.poll_interval_s)]
        while not self._closed.is_set():
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as child:
                self._child = child
                if self._closed.is_set():  # closed while it was being started
                    child.terminate()
                for line in child.stdout or ():
                    yield _parse(line)
            if not self._closed.is_set():
                yield RegistryError(
                    f"the process that follows {self.uri} ended with code {child.returncode}; its "
                    "messages are in the service's error output"
                )
            self._closed.wait(self.poll_interval_s)

    def close(self) -> None:
        """End the child."""
        self._closed.set()
        if self._child is not None:
            self._child.terminate()


def _parse(line: str) -> Found | RouterError:
    report = json.loads(line)
    if "error" in report:
        return RegistryError(report["error"])
    return Found(report["name"], report["version"], Path(report["folder"]))
