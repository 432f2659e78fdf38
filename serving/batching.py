"""Requests that arrive together are scored together.

Whatever the event loop read in one turn waits for the end of that turn, and costs one run of the
graph instead of one each. Where several were scored together a moment ago, as many are expected
again, and those who are there wait a little for the others: scoring eight together takes half the
time of scoring each. A lone request waits for nobody.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from serving.http.errors import OverloadError
from serving.loading.loader import Router
from serving.requests import Ask

_TOGETHER: Final = 32
"""Most requests scored together: more would let the first wait for the last."""
_MAX_WAIT_S: Final = 0.0005
"""Longest wait for other requests of a batch."""
_EXPIRES_S: Final = 0.002
"""The batch-size estimate expires after so long; sending eight answers alone takes 0.3 ms."""
_TRY_MORE_EVERY: Final = 64
"""Batches after a wait in vain before one request more than came last is expected again."""

T = TypeVar("T")
_Waiting = tuple[Router, Ask, "asyncio.Future[T]", float, bool]
"""With the time after which it is shed, and whether it is then shed in any case."""
_Decide = Callable[[Router, Sequence[Ask]], Sequence[T | Exception]]


class Batcher(Generic[T]):
    """Collects asks during a turn of the event loop, on which alone it may be used.

    Parameters
    ----------
    decide : answers several asks of one router, an error in the place of an answer. All of a batch
        are made before the first is sent: clients that are answered one after the other fall asleep
        between, and to wake one takes longer than to send to one that is awake.
    max_waiting : further asks are shed
    """

    def __init__(self, *, decide: _Decide[T], max_waiting: int = 512) -> None:
        self._each = decide
        self._max_waiting = max_waiting
        self._waiting: list[_Waiting[T]] = []
        self._window = BatchWindow()
        self._behind = False

    def decide(
        self, router: Router, ask: Ask, *, wait_s: float = math.inf, firm: bool = False
    ) -> asyncio.Future[T]:
        """The answer, or the error, soon.

        Parameters
        ----------
        wait_s : an ask that waited longer is shed instead of scored where others wait behind it
        firm : shed it then in any case: its caller no longer wants the answer

        Raises
        ------
        OverloadError
            If as many wait as may.
        """
        if len(self._waiting) >= self._max_waiting:
            raise OverloadError("queue", "too many requests wait; try again")
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        if not self._waiting:
            self._window.begin(now)
            loop.call_soon(self._score)
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((router, ask, future, now + wait_s, firm))
        return future

    def _score(self) -> None:
        now = time.perf_counter()
        if self._window.wait(len(self._waiting), now):
            # Timers of the loop count milliseconds; a turn takes microseconds, and reads.
            asyncio.get_running_loop().call_soon(self._score)
            return
        part, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
        # Late without a queue means that the machine paused: the answer is as good as made.
        behind, self._behind = self._behind or bool(self._waiting), bool(self._waiting)
        part = [
            item for item in part if item[3] >= now or not (item[4] or behind) or _shed(item[2])
        ]
        if part:
            router = part[0][0]
            # only around a swap is there more than one router
            _decide(router, [item for item in part if item[0] is router], self._each)
            for item in part:
                if item[0] is not router:
                    _decide(item[0], [item], self._each)
        now = time.perf_counter()
        self._window.end(len(part), now)
        if self._waiting:
            # One part a turn, so that the loop reads, refuses and answers in between.
            self._window.begin(now)
            asyncio.get_running_loop().call_soon(self._score)


class BatchWindow:
    """How many are expected to ask together; times are of one clock, in seconds.

    Examples
    --------
    >>> window = BatchWindow()
    >>> window.begin(0.0), window.wait(1, 0.0)
    (None, False)
    >>> window.end(4, 0.001)
    >>> window.begin(0.0011), window.wait(1, 0.0011), window.wait(5, 0.0012)
    (None, True, False)
    """

    def __init__(self) -> None:
        self._expected = 1
        self._calm = 0
        self._began = self._ended = 0.0
        self._in_vain = False

    def begin(self, now: float) -> None:
        """The first of a batch is here."""
        if now - self._ended > _EXPIRES_S:
            self._expected = 1
        self._began = now
        self._in_vain = False

    def wait(self, n: int, now: float) -> bool:
        """Whether the n who are here should wait for more."""
        if n >= self._expected:
            return False
        self._in_vain = now - self._began >= _MAX_WAIT_S
        return not self._in_vain

    def end(self, n: int, now: float) -> None:
        """The batch, of n, is scored."""
        self._calm = _TRY_MORE_EVERY if self._in_vain else max(0, self._calm - 1)
        one_more = n > 1 and not self._calm
        self._expected = min(n + one_more, _TOGETHER)
        self._ended = now


def _shed(future: asyncio.Future[T]) -> bool:
    """Tell one that it waited too long; False, for a filter."""
    if not future.done():
        future.set_exception(OverloadError("deadline", "the request waited too long; try again"))
    return False


def _decide(router: Router, items: Sequence[_Waiting[T]], decide: _Decide[T]) -> None:
    results: Sequence[T | Exception]
    try:
        results = decide(router, [item[1] for item in items])
    except Exception as error:
        # The loop must go on, and those who wait must hear of it.
        results = [error] * len(items)
    for result, (_, _, future, *_) in zip(results, items, strict=True):
        if future.done():  # the client is gone
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
