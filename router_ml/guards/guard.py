"""A guard, and the mask that its verdict becomes."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Literal

from router_ml.client.breaker import Breaker
from router_ml.errors import ConfigError
from router_ml.runtime.rule import Rule

_LOG: Final = logging.getLogger(__name__)
Guard = Callable[[Sequence[str]], Collection[str]]
"""Takes the texts of a request, and gives labels of what it found; none = clean. It may be slow,
and it may raise."""
UNAVAILABLE: Final = "unavailable"
_LABEL: Final = re.compile(r"[\w.:/-]{1,64}")


class GuardRule:
    """Asks a guard within a time limit; what it flags becomes a firm rule.

    A guard that is slow, down or wrong refuses no request: ``on_error`` says what then counts as
    found. After five failures in a row it is left alone for five seconds.

    Parameters
    ----------
    name : of the rule; it and the guard's labels are logged, and nothing of the text
    guard : see :data:`Guard`
    candidates, requires : as of :class:`router_ml.runtime.rule.Rule`: who may answer what was
        flagged
    labels : those that count; empty = any
    timeout_ms : waited at most, > 0
    on_error : ``flag`` treats a request that could not be checked as flagged, ``pass`` as clean
    threads : checks at a time, >= 1; further ones wait, within their time limit

    Examples
    --------
    >>> rule = GuardRule(name="secrets", guard=lambda texts: {"KEY"} if "sk-1" in texts else (),
    ...                  requires=("region:eu",))
    >>> [found.name for found in rule.rules(["sk-1"])], rule.rules(["hello"])
    (['guard:secrets(KEY)'], ())
    """

    def __init__(
        self,
        *,
        name: str,
        guard: Guard,
        candidates: tuple[str, ...] | None = None,
        requires: tuple[str, ...] = (),
        labels: Collection[str] = (),
        timeout_ms: float = 100.0,
        on_error: Literal["flag", "pass"] = "flag",
        threads: int = 4,
    ) -> None:
        if on_error not in ("flag", "pass") or not timeout_ms > 0 or threads < 1:
            raise ConfigError(
                f"guard {name!r}: on_error must be flag or pass, timeout_ms above 0 and threads at "
                f"least 1, got {on_error!r}, {timeout_ms} and {threads}"
            )
        if candidates is None and not requires:
            raise ConfigError(
                f"guard {name!r} needs candidates or requires: who may answer what it flags"
            )
        self.name = name
        self.guard = guard
        self.candidates = candidates
        self.requires = tuple(requires)
        self.labels = frozenset(labels)
        self.timeout_s = timeout_ms / 1e3
        self.on_error = on_error
        self.breaker = Breaker()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"guard-{name}")

    def rules(self, texts: Sequence[str]) -> tuple[Rule, ...]:
        """The rule of one request, or none; waits for the guard, never longer than its limit."""
        future = self._begin(texts)
        if future is None:
            return self._failed("left alone after failures", count=False)
        try:
            return self._verdict(future.result(self.timeout_s))
        except Exception as error:
            future.cancel()
            return self._failed(type(error).__name__)

    async def rules_soon(self, texts: Sequence[str]) -> tuple[Rule, ...]:
        """As :meth:`rules`, for an event loop."""
        future = self._begin(texts)
        if future is None:
            return self._failed("left alone after failures", count=False)
        try:
            async with asyncio.timeout(self.timeout_s):
                return self._verdict(await asyncio.wrap_future(future))
        except Exception as error:
            return self._failed(type(error).__name__)

    def close(self) -> None:
        """Begin no further checks; closes the guard, if it can be closed."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        close = getattr(self.guard, "close", None)
        if callable(close):
            close()

    def _begin(self, texts: Sequence[str]) -> Future[Collection[str]] | None:
        if not self.breaker.allows(now=time.monotonic()):
            return None
        return self._pool.submit(self.guard, texts)

    def _verdict(self, found: Collection[str]) -> tuple[Rule, ...]:
        # A guard's label is logged, so it may be a label only.
        labels = sorted(str(label) for label in found)
        named = [label if _LABEL.fullmatch(label) else "other" for label in labels]
        self.breaker.succeed()
        if self.labels:
            named = [label for label in named if label in self.labels]
        return (self._rule(",".join(dict.fromkeys(named))),) if named else ()

    def _failed(self, why: str, *, count: bool = True) -> tuple[Rule, ...]:
        if count:
            self.breaker.fail(now=time.monotonic())
        _LOG.warning("guard %s gave no verdict: %s", self.name, why)
        return (self._rule(UNAVAILABLE),) if self.on_error == "flag" else ()

    def _rule(self, what: str) -> Rule:
        name = f"guard:{self.name}({what})"
        return Rule(name=name, candidates=self.candidates, requires=self.requires, firm=True)
