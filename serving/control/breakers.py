"""One candidate's breaker: closed, open, half-open, driven by what is reported of it.

``pybreaker`` has the states. The clock is ours: its own goes by wall time, which may jump.
"""

from __future__ import annotations

import time
from typing import Any, Final, Literal

State = Literal["closed", "open", "half-open"]
_LONGEST: Final = 10.0
"""Pauses double while probes fail, up to so many times the first."""
_UNCLAIMED_S: Final = 2.0
"""A request that was let through and not decided frees its turn after so long."""
_NEVER_S: Final = 1e9


class CandidateFailedError(Exception):
    """What the state machine counts."""


class Breaker:
    """Reports in, whether to ask out.

    Parameters
    ----------
    failures : in a row that open it
    pause_s : until a request may probe; doubled while probes fail

    Attributes
    ----------
    opened : times that it opened

    Examples
    --------
    >>> breaker = Breaker(failures=2, pause_s=0.0)
    >>> breaker.fail(); breaker.fail(); breaker.state
    'open'
    >>> breaker.admits(), breaker.state  # one request may try
    (True, 'half-open')
    >>> breaker.succeed(); breaker.state
    'closed'
    """

    def __init__(self, *, failures: int, pause_s: float) -> None:
        from pybreaker import CircuitBreaker

        self.pause_s = pause_s
        self.opened = 0
        self._pause_s = pause_s
        self._again = 0.0
        self._machine: Any = CircuitBreaker(
            fail_max=failures, reset_timeout=_NEVER_S, throw_new_error_on_trip=False
        )

    @property
    def state(self) -> State:
        """Of the machine."""
        state: State = self._machine.current_state
        return state

    def fail(self) -> None:
        """The candidate failed."""
        before = self.state
        self._tell(_raise)
        if self.state == "open" and before != "open":
            self.opened += 1
            failed_again = before == "half-open"
            self._pause_s = (
                min(2 * self._pause_s, _LONGEST * self.pause_s) if failed_again else self.pause_s
            )
            self._again = time.monotonic() + self._pause_s

    def succeed(self) -> None:
        """The candidate answered; a late answer of one that is open says nothing."""
        self._tell(_nothing)

    def admits(self) -> bool:
        """Whether this request may go to the candidate; where it may probe, it has the turn."""
        if self.state == "closed":
            return True
        now = time.monotonic()
        if now < self._again:
            return False
        if self.state == "open":
            self._machine.half_open()
        self._again = now + _UNCLAIMED_S
        return True

    def settle(self, chosen: bool) -> None:
        """What became of the turn: the candidate was chosen, or the next request has it."""
        if self.state != "closed":
            self._again = time.monotonic() + (max(self._pause_s, _UNCLAIMED_S) if chosen else 0.0)

    def _tell(self, what: Any) -> None:
        from pybreaker import CircuitBreakerError

        try:
            self._machine.call(what)
        except (CandidateFailedError, CircuitBreakerError):
            return


def _raise() -> None:
    raise CandidateFailedError


def _nothing() -> None:
    return
