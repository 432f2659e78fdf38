"""Requests that arrive together are scored together.

Whatever the event loop read in one turn waits for the end of that turn, and costs one run of the
graph instead of one each. Where several asked at once a moment ago, as many are expected again, and
those who are there wait a little for the others: a crowd scored together takes half the time. A lone
request, and the first of a crowd, never wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from router_ml.errors import InvalidRequestError
from router_ml.types import Decision
from serving.loader import Router
from serving.requests import Ask

_TOGETHER: Final = 32
"""More would let the first of a crowd wait for the last."""
_CALM: Final = 16
"""Batches after one that waited in vain before one more than the last had is expected again."""
_PATIENCE_S: Final = 0.0003
"""Waited at most for others, about the time that scoring one takes."""

_Waiting = tuple[Router, Ask, "asyncio.Future[Decision]"]


class Batcher:
    """Collects asks during a turn of the event loop, on which alone it may be used."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._expected = 1
        self._calm = 0
        self._since = 0.0

    def decide(self, router: Router, ask: Ask) -> asyncio.Future[Decision]:
        """The decision, or the error, at the end of this turn."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._since = time.perf_counter()
            loop.call_soon(self._score)
        future: asyncio.Future[Decision] = loop.create_future()
        self._waiting.append((router, ask, future))
        return future

    def _score(self) -> None:
        n = len(self._waiting)
        complete = n >= self._expected
        if not complete and time.perf_counter() - self._since < _PATIENCE_S:
            # Timers of the loop count milliseconds; another turn takes microseconds, and reads.
            asyncio.get_running_loop().call_soon(self._score)
            return
        waiting, self._waiting = self._waiting, []
        self._calm = max(0, self._calm - 1) if complete else _CALM
        self._expected = min(n + 1 if n > 1 and not self._calm else n, _TOGETHER)
        for start in range(0, len(waiting), _TOGETHER):
            part = waiting[start : start + _TOGETHER]
            router = part[0][0]
            # only around a swap is there more than one router
            _decide(router, [item for item in part if item[0] is router])
            for item in part:
                if item[0] is not router:
                    _decide(item[0], [item])


def _decide(router: Router, items: Sequence[_Waiting]) -> None:
    asks = [ask for _, ask, _ in items]
    results: list[Decision] | list[Decision | InvalidRequestError]
    try:
        if len(asks) == 1:
            results = [router.runtime.decide(asks[0].query, asks[0].limits)]
        else:
            predictions = router.runtime.predict([ask.query for ask in asks])
            results = router.runtime.choose_each(predictions, [ask.limits for ask in asks])
    except Exception as error:
        # The loop must go on, and those who wait must hear of it.
        for _, _, future in items:
            if not future.done():
                future.set_exception(error)
        return
    for result, (_, _, future) in zip(results, items, strict=True):
        if future.done():  # the client is gone
            continue
        if isinstance(result, Decision):
            future.set_result(result)
        else:
            future.set_exception(result)
