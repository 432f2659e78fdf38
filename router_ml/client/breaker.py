"""When to ask a service that has failed."""

from __future__ import annotations

import threading

from router_ml.errors import ConfigError


class Breaker:
    """Closed, open, half-open: when to ask a service that has failed.

    Parameters
    ----------
    failures : in a row that open it, >= 1
    pause_s : until one call may try again, >= 0

    Examples
    --------
    >>> breaker = Breaker(failures=1, pause_s=60.0)
    >>> breaker.allows(now=0.0), breaker.fail(now=0.0), breaker.allows(now=59.0)
    (True, None, False)
    >>> breaker.allows(now=61.0), breaker.allows(now=61.0)
    (True, False)
    >>> breaker.succeed(), breaker.allows(now=61.0)
    (None, True)
    """

    def __init__(self, *, failures: int = 5, pause_s: float = 5.0) -> None:
        if failures < 1 or pause_s < 0:
            raise ConfigError(
                f"a breaker needs failures >= 1 and pause_s >= 0, got {failures} and {pause_s}"
            )
        self.failures = failures
        self.pause_s = pause_s
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._again = 0.0

    def allows(self, *, now: float) -> bool:
        """Whether to call; while open, one call a pause may try."""
        with self._lock:
            if self._in_a_row < self.failures:
                return True
            if now < self._again:
                return False
            self._again = now + self.pause_s
            return True

    def succeed(self) -> None:
        """A call was answered: closed again."""
        with self._lock:
            self._in_a_row = 0

    def fail(self, *, now: float) -> None:
        """A call was not answered."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self.failures:
                self._again = now + self.pause_s
