"""What runs behind the control: files of budgets, measures and spending, exchange over Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path

from serving.control.budget_file import read_budgets
from serving.control.control import Control
from serving.control.ledger import Ledger
from serving.control.measures_file import read_measures
from serving.heartbeat import Heartbeat
from serving.settings import Settings
from serving.watched_file import WatchedFile


class Background:
    """Starts and ends with the service.

    Parameters
    ----------
    settings : name the files
    control : is kept up to date
    """

    def __init__(self, settings: Settings, control: Control) -> None:
        self.control = control
        path = settings.spending_file
        self._ledger = None if path is None else Ledger(path=path, budgets=control.budgets)
        self._files = [*_watched(settings, control)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Read the files now and begin; called on the event loop where anything runs on it.

        Raises
        ------
        ConfigError
            If a file is wrong.
        """
        control, link = self.control, self.control.link
        for file in self._files:
            file.start()
        if self._ledger is not None:
            self._ledger.load()
            self._begin(self._ledger.run())
        if link is not None:
            link.told = control.told
            self._begin(link.run(control.budgets, control.sessions))

    async def close(self) -> None:
        """End, and hand in what is not written yet."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for file in self._files:
            file.close()
        if self._ledger is not None:
            self._ledger.close()
        if self.control.link is not None:
            await self.control.link.close(self.control.budgets, self.control.sessions)

    def reread(self) -> None:
        """Look at the files now."""
        for file in self._files:
            file.reread()

    def heartbeats(self) -> Iterator[Heartbeat]:
        """Of all that runs."""
        for part in (*self._files, self._ledger, self.control.link):
            if part is not None:
                yield part.heartbeat

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))


def _watched(settings: Settings, control: Control) -> Iterator[WatchedFile]:
    def put_budgets(path: Path) -> None:
        control.budgets.budgets = read_budgets(path)

    def put_measures(path: Path) -> None:
        control.measures = read_measures(path)

    for what, path, read in (
        ("budgets file", settings.budgets_file, put_budgets),
        ("measures file", settings.measures_file, put_measures),
    ):
        if path is not None:
            yield WatchedFile(
                what=what,
                path=path,
                poll_interval_s=settings.poll_interval_s,
                read=partial(read, path),
            )
