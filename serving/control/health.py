"""How the candidates are: breakers from reported failures, quantiles from reported times."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection
from typing import Final

from router_ml.types.failures import Outcome, outcome_of
from serving.control.breakers import Breaker, State

_SAMPLES: Final = 512
_RECENT_S: Final = 600.0
_REFRESH_S: Final = 0.5
TIMES: Final = ("latency_ms", "ttft_ms")


class Health:
    """Of all candidates, by name.

    Parameters
    ----------
    failures : in a row that open a breaker; 0 = there are none
    pause_s : of an open breaker, until a request may probe
    quantile : of the time to first token that ``max_ttft_ms`` is held against, in (0, 1)

    Attributes
    ----------
    reports : by candidate and outcome
    """

    def __init__(self, *, failures: int = 5, pause_s: float = 30.0, quantile: float = 0.95) -> None:
        self.failures = failures
        self.pause_s = pause_s
        self.quantile = quantile
        self.reports: Counter[tuple[str, str]] = Counter()
        self.breakers: dict[str, Breaker] = {}
        self._open: set[str] = set()
        self._times: dict[tuple[str, str], Window] = {}
        self._ttft: dict[str, float] = {}
        self._fresh = 0.0

    @property
    def is_calm(self) -> bool:
        """Whether no breaker is open or half-open."""
        return not self._open

    def report(
        self,
        candidate: str,
        *,
        status: str | None = None,
        error_class: str | None = None,
        latency_ms: float | None = None,
        ttft_ms: float | None = None,
    ) -> Outcome | None:
        """Take what came of one call; a caller's own fault says nothing of the candidate."""
        outcome = outcome_of(status, error_class)
        if outcome is None and (latency_ms is not None or ttft_ms is not None):
            outcome = "success"
        if outcome is None:
            return None
        self.reports[candidate, outcome] += 1
        if outcome == "success":
            for name, value in zip(TIMES, (latency_ms, ttft_ms), strict=True):
                if value is not None:
                    self._times.setdefault((candidate, name), Window()).add(value)
        if outcome != "client_error" and self.failures:
            self._tell(candidate, outcome)
        return outcome

    def problems(self) -> list[str]:
        """Sentences for everybody."""
        return [f"{name} fails at present and is avoided" for name in sorted(self._open)]

    def state(self, candidate: str) -> State:
        """Of a candidate's breaker."""
        breaker = self.breakers.get(candidate)
        return "closed" if breaker is None else breaker.state

    def avoid(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Whom this request may not go to, and whom it may probe."""
        refused: list[str] = []
        probed: list[str] = []
        for name in sorted(self._open):
            (probed if self.breakers[name].admits() else refused).append(name)
        return tuple(refused), tuple(probed)

    def settle(self, probed: Collection[str], chosen: str) -> None:
        """The request that might have probed went to ``chosen``."""
        for name in probed:
            self.breakers[name].settle(name == chosen)

    def ttft_ms(self) -> dict[str, float]:
        """Measured quantile of the time to first token, by candidate; nobody may change it."""
        now = time.monotonic()
        if now - self._fresh > _REFRESH_S:
            self._fresh = now
            self._ttft = {
                candidate: value
                for (candidate, name), window in self._times.items()
                if name == "ttft_ms" and (value := window.quantile(self.quantile)) is not None
            }
        return self._ttft

    def quantiles(self, *levels: float) -> dict[tuple[str, str, float], float]:
        """By candidate, what, and level."""
        return {
            (candidate, name, level): value
            for (candidate, name), window in sorted(self._times.items())
            for level in levels
            if (value := window.quantile(level)) is not None
        }

    def _tell(self, candidate: str, outcome: Outcome) -> None:
        breaker = self.breakers.get(candidate)
        if breaker is None:
            if outcome == "success":
                return
            breaker = Breaker(failures=self.failures, pause_s=self.pause_s)
            self.breakers[candidate] = breaker
        if outcome == "success":
            breaker.succeed()
        else:
            breaker.fail()
        if breaker.state == "closed":
            self._open.discard(candidate)
        else:
            self._open.add(candidate)


class Window:
    """The latest values, at most 512 and none older than ten minutes.

    Examples
    --------
    >>> window = Window()
    >>> for value in range(1, 101):
    ...     window.add(float(value))
    >>> window.quantile(0.95)
    95.0
    """

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def add(self, value: float) -> None:
        """One more."""
        self._values.append((time.monotonic(), value))

    def quantile(self, level: float) -> float | None:
        """Smallest value that a share ``level`` does not exceed; ``None`` without any."""
        since = time.monotonic() - _RECENT_S
        while self._values and self._values[0][0] < since:
            self._values.popleft()
        if not self._values:
            return None
        ordered = sorted(value for _, value in self._values)
        return ordered[max(0, math.ceil(level * len(ordered)) - 1)]
