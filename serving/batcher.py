"""Requests that arrive together are scored together.

Whatever the event loop read in one turn waits for the end of that turn. A lone request is scored
there and then. Several are scored by one run of the graph in a thread, while the loop reads and
answers others; what arrives meanwhile waits for the end of that run, and is the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from router_ml.errors import InvalidRequestError
from router_ml.types import Decision, Predictions
from serving.loader import Router
from serving.requests import Ask

_TOGETHER: Final = 32
"""More would let the first of a crowd wait for the last."""

_Waiting = tuple[Router, Ask, "asyncio.Future[Decision]"]
_Results = Sequence[Decision | InvalidRequestError]


class Batcher:
    """Collects asks during a turn of the event loop, on which alone it may be used."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._scorer = ThreadPoolExecutor(1, "scorer")
        self._due = False
        """Whether a turn is to come: the end of this turn, or of a run in the thread."""

    def decide(self, router: Router, ask: Ask) -> asyncio.Future[Decision]:
        """The decision, or the error, soon."""
        loop = asyncio.get_running_loop()
        if not self._due:
            self._due = True
            loop.call_soon(self._turn)
        future: asyncio.Future[Decision] = loop.create_future()
        self._waiting.append((router, ask, future))
        return future

    def close(self) -> None:
        """End the thread, once it has done what it has begun."""
        self._scorer.shutdown()

    def _turn(self) -> None:
        """Begin the next batch, and be called again when it is done."""
        items = self._take()
        self._due = bool(items)
        if not items:
            return
        loop = asyncio.get_running_loop()
        router = items[0][0]
        try:
            if len(items) == 1:
                _give(items, [router.runtime.decide(items[0][1].query, items[0][1].limits)])
                loop.call_soon(self._turn)
                return
            # Text is Python's work, and two threads of Python are slower than one.
            features = list(router.runtime.features([ask.query for _, ask, _ in items]))
            run = loop.run_in_executor(self._scorer, router.runtime.score, features)
            run.add_done_callback(partial(self._scored, items))
        except Exception as error:
            _fail(items, error)
            loop.call_soon(self._turn)

    def _scored(self, items: Sequence[_Waiting], run: asyncio.Future[Predictions]) -> None:
        try:
            limits = [ask.limits for _, ask, _ in items]
            _give(items, items[0][0].runtime.choose_each(run.result(), limits))
        except Exception as error:
            _fail(items, error)
        self._turn()

    def _take(self) -> list[_Waiting]:
        """Those who wait longest; all of one router, of which there are two around a swap."""
        items: list[_Waiting] = []
        while self._waiting and len(items) < _TOGETHER:
            if items and self._waiting[0][0] is not items[0][0]:
                break
            items.append(self._waiting.popleft())
        return items


def _give(items: Sequence[_Waiting], results: _Results) -> None:
    for result, (_, _, future) in zip(results, items, strict=True):
        if future.done():  # the client is gone
            continue
        if isinstance(result, Decision):
            future.set_result(result)
        else:
            future.set_exception(result)


def _fail(items: Sequence[_Waiting], error: Exception) -> None:
    """The loop must go on, and those who wait must hear of it."""
    for _, _, future in items:
        if not future.done():
            future.set_exception(error)
