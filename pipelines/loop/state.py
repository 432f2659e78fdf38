"""Where a loop stands: what the next step needs to know, and nothing that a folder tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, Self

Step = Literal[
    "idle", "collect", "join", "drift", "watch", "rollback", "due",
    "train", "export", "evaluate", "register", "gate", "shadow", "promote",
]  # fmt: skip
Outcome = Literal[
    "nothing new", "not due", "refused", "waiting", "promoted", "rolled back", "superseded",
    "failed",
]  # fmt: skip
EXIT_CODES: Final[Mapping[str, int]] = {
    "promoted": 10,
    "refused": 11,
    "superseded": 11,
    "waiting": 12,
    "rolled back": 13,
}
"""What ``detailed_exit_code`` adds to 0: all is well, 2: an error, and 75: held by another loop."""
FAILED: Final = 2
HELD: Final = 75
"""``EX_TEMPFAIL`` of sysexits.h: try again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """What is written after every step.

    Parameters
    ----------
    cycle : number of the present or last cycle, from 1
    step : the next to be done; ``idle`` between cycles
    as_of : when the cycle began (naive UTC, ISO 8601); nothing later is joined
    digest, done : of the partitions that the cycle, and the last finished cycle, rests on
    labels : labelled outcomes in the cycle's join
    label_hours : how old requests are, at the cycle's beginning, once their labels count
    alarms : what the monitor found, as it wrote it
    reasons : why the cycle retrains
    version : of its challenger, or of one that waits in the shadow since an earlier cycle
    champion : that the challenger was judged against; ``None`` = there was none
    addressed : keys of the alarms that were there when it was trained
    shadow_since : when it went into the shadow; empty where none waits there
    outcome, said : of the last cycle, and a sentence about it
    retrained_at, retrained_labels : of the last retraining
    answered : alarms that a promotion has answered
    tries : of other alarms, how many retrainings they have led to
    watched : version that is watched as champion, beside ``predecessor``, on the log ``since``
    outcomes : how many cycles ended how
    updated : when this was written
    """

    cycle: int = 0
    step: Step = "idle"
    as_of: str = ""
    digest: str = ""
    done: str = ""
    labels: int = 0
    label_hours: float = 0.0
    alarms: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[str, ...] = ()
    version: str = ""
    champion: str | None = None
    addressed: tuple[str, ...] = ()
    shadow_since: str = ""
    outcome: str = ""
    said: str = ""
    retrained_at: str = ""
    retrained_labels: int = 0
    answered: tuple[str, ...] = ()
    tries: Mapping[str, int] = field(default_factory=dict)
    watched: str = ""
    predecessor: str = ""
    since: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    updated: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Of what a store holds; keys of a later release are left alone."""
        known = {f.name for f in fields(cls)}
        lists = ("alarms", "reasons", "answered", "addressed")
        values: dict[str, Any] = {
            key: tuple(value) if key in lists else value
            for key, value in row.items()
            if key in known
        }
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return asdict(self)
