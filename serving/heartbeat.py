"""Whether what runs in the background still does its work.

Every loop beats when a round of it succeeded. Readiness and metrics look at the age of the last
beat, so that a thread that died, or hangs, shows as one that fails does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Heartbeat:
    """Last success of one background loop; written by its thread, read by others.

    Parameters
    ----------
    name : stands in metrics and readiness
    limit_s : older than this, the loop counts as stopped
    """

    name: str
    limit_s: float
    failures: int = 0
    reason: str | None = None
    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """A round succeeded."""
        self._last = time.monotonic()
        self.reason = None

    def fail(self, reason: str) -> None:
        """A round failed; ``reason`` is public."""
        self.failures += 1
        self.reason = reason

    @property
    def age_s(self) -> float:
        """Seconds since the last success."""
        return time.monotonic() - self._last

    @property
    def problem(self) -> str | None:
        """What is wrong, in a sentence for everybody; ``None`` when nothing is."""
        if self.reason is not None:
            return f"{self.name}: {self.reason}"
        if self.age_s > self.limit_s:
            return f"{self.name}: no success for {self.age_s:.0f} s"
        return None
