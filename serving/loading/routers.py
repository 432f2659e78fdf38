"""The routers of one service, by the names that requests give them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from serving.heartbeat import Heartbeat
from serving.loading.loader import Loader, Router
from serving.settings import Settings


class Routers:
    """The default router, which must be there, and others, which may come later.

    Parameters
    ----------
    settings : ``bundle`` is the default one's source, ``routers`` the others'; the overrides of
        policy and prices are the default one's alone
    default : loads the default one
    """

    def __init__(self, *, settings: Settings, default: Loader) -> None:
        self.default = default
        self.named: Mapping[str, Loader] = {
            name: loader_of(settings, source, name) for name, source in settings.sources.items()
        }

    def start(self) -> None:
        """Load folders now, begin to resolve registry addresses, and follow all.

        Raises
        ------
        RouterError
            If a folder holds no good bundle.
        """
        for loader in self.loaders():
            loader.start()

    def close(self) -> None:
        """Stop following."""
        for loader in self.loaders():
            loader.close()

    def loaders(self) -> Iterator[Loader]:
        """All, the default one first."""
        yield self.default
        yield from self.named.values()

    def candidates(self) -> tuple[str, ...]:
        """Names that any router in service knows."""
        current = [loader.current for loader in self.loaders()]
        names = [r.runtime.candidates.names for r in current if r is not None]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(names)))

    def heartbeats(self) -> Iterator[Heartbeat]:
        """Of the threads that follow the sources."""
        return (loader.heartbeat for loader in self.loaders())

    def find(self, name: str | None = None) -> Router:
        """The router in service of that name; ``None`` = the default one.

        Raises
        ------
        InvalidRequestError
            If there is no such name.
        ScorerUnavailableError
            If it is not loaded yet.
        """
        loader = self.default if name is None else self.named.get(name)
        if loader is None:
            raise InvalidRequestError(
                f"router names none of this service, which has {sorted(self.named) or 'one alone'}"
            )
        if loader.current is None:
            raise ScorerUnavailableError("no router is loaded")
        return loader.current

    def problems(self) -> Iterator[str]:
        """What is wrong with their sources, beside what heartbeats say."""
        for loader in self.loaders():
            what = loader.heartbeat.name
            if loader.error is not None and loader.heartbeat.reason is None:
                yield f"{what}: {loader.error}"
            if loader.from_cache:
                yield f"{what}: the last good bundle is in service, unconfirmed"


def loader_of(settings: Settings, source: str, name: str, *, prices: Path | None = None) -> Loader:
    """A loader of another source, with the same limits.

    Parameters
    ----------
    source : bundle folder or registry address
    name : of its heartbeat, and of its folder in the cache
    prices : override
    """
    cache = None if settings.cache_dir is None else settings.cache_dir / name
    own = replace(settings, bundle=source, policy_file=None, prices_file=prices, cache_dir=cache)
    loader = Loader(settings=own)
    loader.heartbeat.name = f"router source {name}"
    return loader
