"""Where routers come from: a folder, or an address in the MLflow registry."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from router_ml.bundle.files import MANIFEST
from router_ml.errors import BundleError, ConfigError
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

    limit_s: float
    """Without a look for so long, following has stopped."""

    def look(self) -> Found | None:
        """Wait for the next look and give what it found; ``None`` after :meth:`close`.

        Raises
        ------
        RouterError, OSError
            If the look failed; the next one may succeed.
        """
        ...

    def close(self) -> None:
        """Make :meth:`look` return soon."""
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
        self.limit_s = 3 * poll_interval_s + 30.0
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

    def look(self) -> Found | None:
        """Read the manifest after the interval."""
        return None if self._closed.wait(self.poll_interval_s) else self.find()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
