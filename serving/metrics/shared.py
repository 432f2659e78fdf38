"""One set of metrics for all workers of a service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from serving.metrics.snapshot import Snapshot, of_all, write
from serving.reasons import full_reason

_LOG: Final = logging.getLogger(__name__)
_INTERVAL_S: Final = 0.5
FOLDER_VARIABLE: Final = "ROUTER_METRICS_FOLDER"
"""Set by the parent of several workers; it is no setting."""


class SharedMetrics:
    """Writes this worker's snapshot again and again, and adds up all workers'.

    Parameters
    ----------
    folder : shared by the workers of one service; ``None`` = there is one worker
    take : gives this worker's snapshot
    """

    def __init__(self, *, folder: Path | None, take: Callable[[], Snapshot]) -> None:
        self.folder = folder
        self.take = take
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to write, where there are several workers."""
        if self.folder is not None:
            self._thread.start()

    def all(self) -> Snapshot:
        """The sum of all workers, this one as it is now."""
        mine = self.take()
        return mine if self.folder is None else of_all(self.folder, mine)

    def close(self) -> None:
        """Write a last time."""
        self._stop.set()
        if self.folder is not None and self._thread.is_alive():
            self._thread.join(2)

    def _work(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._write()
        self._write()

    def _write(self) -> None:
        if self.folder is None:
            return
        try:
            write(self.folder, self.take())
        except Exception as error:  # counts change while they are read, or the disk is full
            _LOG.debug("metrics were not shared: %s", full_reason(error))
