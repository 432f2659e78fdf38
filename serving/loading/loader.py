"""Which router is in service, and how the next one takes its place.

One :class:`Router` stands behind a reference that is replaced whole: a request reads it once and
keeps it to its end. A thread follows the source; a version that cannot be read, verified and made
to score is not put in service, the former one stays, and ``error`` says why.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from router_ml.bundle.files import read_bundle
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import ConfigError, RouterError
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from serving.loading.sources import FolderSource, Found, RegistrySource, Source
from serving.schemas import RouterName
from serving.settings import Settings

_LOG: Final = logging.getLogger(__name__)
_WARM_UP: Final = (Query("What is 2 + 2?"), Query("Write code.", tools=({"name": "run"},)))


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
    error : why the newest version is not in service, ``None`` when it is
    swaps, failures : routers put in service, and attempts that failed
    """

    def __init__(self, *, settings: Settings) -> None:
        self.settings = settings
        self.current: Router | None = None
        self.error: str | None = None
        self.swaps = self.failures = 0
        self._source: Source | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._thread = threading.Thread(target=self._follow, name="router-loader", daemon=True)

    def start(self) -> None:
        """Load a folder now, or begin to resolve a registry address; then follow it.

        Raises
        ------
        RouterError
            If the folder holds no good bundle: there is nothing to serve.
        """
        settings = self.settings
        if settings.from_registry:
            if settings.cache_dir is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="router-bundles-")
            self._source = RegistrySource(
                uri=settings.bundle,
                cache_dir=settings.cache_dir or Path(self._scratch.name),  # type: ignore[union-attr]
                poll_interval_s=settings.poll_interval_s,
            )
        else:
            folder = Path(settings.bundle)
            source = FolderSource(folder=folder, poll_interval_s=settings.poll_interval_s)
            self._put_in_service(source.find())
            self._source = source
        self._thread.start()

    def close(self) -> None:
        """Stop following; the current router stays usable."""
        if self._source is not None:
            self._source.close()
            self._thread.join()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _follow(self) -> None:
        for news in self._source.news() if self._source is not None else ():
            if isinstance(news, RouterError):
                self._fail(str(news))
            elif self.current is None or self.current.name != RouterName(news.name, news.version):
                try:
                    self._put_in_service(news)
                except Exception as error:
                    # Whatever is wrong with a new version, the one in service must stay.
                    self.failures += 1
                    self._fail(f"version {news.version} of {news.name} is not in service: {error}")
            else:
                self.error = None

    def _fail(self, text: str) -> None:
        if text != self.error:
            _LOG.error("%s", text)
        self.error = text

    def _put_in_service(self, found: Found) -> None:
        settings = self.settings
        bundle = read_bundle(found.folder)
        runtime = Runtime(
            bundle=bundle,
            policy=_read_json(settings.policy_file),
            prices=_read_json(settings.prices_file),
            random_state=settings.random_state,
        )
        cascade = CascadeRuntime(bundle=bundle, runtime=runtime)
        for query in _WARM_UP:
            runtime.decide(query)
            cascade.next(query, [Attempt(runtime.candidates.names[0], "4")])
        self.current = Router(
            runtime=runtime,
            cascade=cascade,
            name=RouterName(found.name, found.version),
            source=settings.bundle,
            loaded=datetime.now(UTC),
        )
        self.swaps += 1
        self.error = None
        _LOG.info("version %s of %s is in service", found.version, found.name)


def _read_json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a JSON file at {path}: {error}") from error
