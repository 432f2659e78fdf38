"""Which router is in service, and how the next one takes its place.

One :class:`Router` stands behind a reference that is replaced whole: a request reads it once and
keeps it to its end. A thread follows the source; a version that cannot be read, verified and made
to score is not put in service, the former one stays, and ``error`` says why. Where the registry is
down at the start, the bundle that was last in service starts from the cache.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from router_ml.bundle.files import read_bundle
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import BundleError
from router_ml.runtime.runtime import Runtime
from serving.heartbeat import Heartbeat
from serving.loading.registry_source import RegistrySource
from serving.loading.sources import FolderSource, Found, Source
from serving.loading.trial import load, try_bundle
from serving.reasons import full_reason, public_reason
from serving.schemas import RouterName
from serving.settings import Settings

_LOG: Final = logging.getLogger(__name__)
LAST_GOOD: Final = "last-good.json"
_RETRY_S: Final = 300.0
"""At most so long until a version that failed is tried again."""
_PATIENCE_S: Final = 10.0
"""A registry that is silent at the start is waited for so long before the cache is used."""


@dataclass(frozen=True, slots=True)
class Router:
    """A loaded runtime and where it came from."""

    runtime: Runtime
    cascade: CascadeRuntime
    name: RouterName
    source: str
    loaded: datetime


class Loader:
    """Holds the router in service and follows its source.

    Parameters
    ----------
    settings : names the source, the overrides and the interval

    Attributes
    ----------
    current : the router in service, ``None`` before the first
    error : why the newest version is not in service, without addresses and paths; ``None`` when it
        is
    from_cache : whether the router in service is the last good one, not confirmed by the registry
    swaps, failures : routers put in service, and attempts that failed
    heartbeat : of the thread that follows the source
    """

    def __init__(self, *, settings: Settings) -> None:
        self.settings = settings
        self.current: Router | None = None
        self.error: str | None = None
        self.from_cache = False
        self.swaps = self.failures = 0
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._source = self._make_source()
        self.heartbeat = Heartbeat("router source", self._source.limit_s + settings.load_timeout_s)
        self._closed = threading.Event()
        self._refused: tuple[Found, float, float] | None = None
        self._loading = threading.Lock()
        self._impatience = threading.Timer(_PATIENCE_S, self._start_from_cache)
        self._impatience.daemon = True
        self._thread = threading.Thread(target=self._follow, name="router-loader", daemon=True)

    def start(self) -> None:
        """Load a folder now, or begin to resolve a registry address; then follow it.

        Raises
        ------
        RouterError
            If the folder holds no good bundle: there is nothing to serve.
        """
        if isinstance(self._source, FolderSource):
            self._put_in_service(self._source.find())
        elif self.settings.cache_dir is not None:
            self._impatience.start()
        self._thread.start()

    def look_now(self) -> None:
        """Have the registry looked at before the interval ends."""
        if isinstance(self._source, RegistrySource):
            self._source.look_now()

    def close(self) -> None:
        """Stop following; the current router stays usable."""
        self._closed.set()
        self._impatience.cancel()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join(5)
        if self._scratch is not None:
            self._scratch.cleanup()

    def _make_source(self) -> Source:
        settings = self.settings
        if not settings.from_registry:
            folder = Path(settings.bundle)
            return FolderSource(folder=folder, poll_interval_s=settings.poll_interval_s)
        if settings.cache_dir is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="router-bundles-")
        return RegistrySource(
            uri=settings.bundle,
            cache_dir=settings.cache_dir or Path(self._scratch.name),  # type: ignore[union-attr]
            poll_interval_s=settings.poll_interval_s,
        )

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                found = self._source.look()
                if found is None:
                    return
                self._consider(found)
                self.heartbeat.beat()
            except Exception as error:
                # Whatever goes wrong with the source, the router in service stays.
                self._fail("", error)
                self.heartbeat.fail(public_reason(error))
                if self.current is None:
                    self._start_from_cache()
                if isinstance(error, OSError):
                    self._closed.wait(self.settings.poll_interval_s)

    def _consider(self, found: Found) -> None:
        """Put a version in service unless it is there; one that failed is tried ever less often."""
        wanted = RouterName(found.name, found.version)
        if self.current is not None and self.current.name == wanted:
            self.error, self.from_cache, self._refused = None, False, None
            return
        wait_s = self.settings.poll_interval_s
        if self._refused is not None and self._refused[0] == found:
            _, again, wait_s = self._refused
            if time.monotonic() < again:
                return
        try:
            self._put_in_service(found)
            self.from_cache, self._refused = False, None
        except Exception as error:
            # Whatever is wrong with a new version, the one in service must stay.
            self.failures += 1
            wait_s = min(2 * wait_s, _RETRY_S)
            self._refused = (found, time.monotonic() + wait_s, wait_s)
            self._fail(f"version {found.version} of {found.name} is not in service: ", error)

    def _fail(self, what: str, error: Exception) -> None:
        text = what + public_reason(error)
        if text != self.error:
            _LOG.error("%s%s", what, full_reason(error))
        self.error = text

    def _put_in_service(self, found: Found) -> None:
        with self._loading:
            self._load(found)
        self._remember(found)

    def _load(self, found: Found) -> None:
        settings = self.settings
        tried = try_bundle(
            found.folder,
            policy=settings.policy_file,
            prices=settings.prices_file,
            timeout_s=settings.load_timeout_s,
            memory_mb=settings.load_memory_mb,
        )
        bundle = read_bundle(found.folder)
        if bundle.manifest.bundle_id != tried:
            raise BundleError(
                f"the bundle in {found.folder} was replaced while it was tried; it will be again"
            )
        runtime, cascade = load(
            bundle,
            policy=settings.policy_file,
            prices=settings.prices_file,
            random_state=settings.random_state,
        )
        self.current = Router(
            runtime=runtime,
            cascade=cascade,
            name=RouterName(found.name, found.version),
            source=settings.bundle if settings.from_registry else "folder",
            loaded=datetime.now(UTC),
        )
        self.swaps += 1
        self.error = None
        _LOG.info("version %s of %s is in service", found.version, found.name)

    def _remember(self, found: Found) -> None:
        """Note which bundle is good, for a start without the registry."""
        folder = self.settings.cache_dir
        if folder is None or not self.settings.from_registry:
            return
        note = {"uri": self.settings.bundle, "name": found.name, "version": found.version}
        note["folder"] = str(found.folder)
        try:
            scratch = folder / f".{LAST_GOOD}"
            scratch.write_text(json.dumps(note), encoding="utf-8")
            scratch.replace(folder / LAST_GOOD)
        except OSError as error:
            _LOG.warning("the last good bundle cannot be noted: %s", full_reason(error))

    def _start_from_cache(self) -> None:
        """Serve what was last in service, until the registry answers."""
        folder = self.settings.cache_dir
        if folder is None or self.current is not None:
            return
        try:
            note = json.loads((folder / LAST_GOOD).read_text(encoding="utf-8"))
            if note["uri"] != self.settings.bundle:
                return
            error, self.from_cache = self.error, True
            self._put_in_service(Found(note["name"], note["version"], Path(note["folder"])))
            self.error = error
            _LOG.warning("serving the last good bundle from the cache: the registry is down")
        except FileNotFoundError:
            return
        except Exception as error:
            self.from_cache = False
            _LOG.error("the last good bundle cannot be used: %s", full_reason(error))
