"""What a monitor says: what changed since when, for whom, by which evidence, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["mask", "explore", "retrain", "notify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A change that a monitor found.

    Parameters
    ----------
    alarm_id : the same whenever the same log is read
    time : of the outcome at which it was found; times are naive UTC, ISO 8601
    signal : ``quality``, ``errors``, ``latency_ms``, ``input_tokens``, ``output_tokens``,
        ``price`` or ``traffic``
    candidate : name; ``""`` = all, as of traffic
    segment : kind and value, such as ``("task", "sql")``; ``None`` = all requests
    since, since_low, since_high : the most likely moment of the change, and a 95 % interval
    before, after : means of what was observed on both sides of it
    expected : what the predictions, recalibrated by what was before, expected after it
    n_before, n_after : outcomes on both sides
    log_e : natural logarithm of the e-value: evidence against "nothing changed", weighted for the
        number of tests
    threshold : that it had to reach, log(1 / alpha)
    worse : whether it is for the worse
    action : what is to be done: ``mask`` the candidate, ``explore`` it more, ``retrain``, or only
        ``notify``
    label : name of the feedback that told, of ``quality``
    version : router version whose predictions were tested
    others : further segments that show it, ``(kind, value, log_e)``, the clearest first
    course : around the change ``(time, observed, expected)``, each the means of some outcomes
    """

    alarm_id: str
    time: str
    signal: str
    candidate: str
    segment: tuple[str, str] | None
    since: str
    since_low: str
    since_high: str
    before: float
    after: float
    expected: float
    n_before: int
    n_after: int
    log_e: float
    threshold: float
    worse: bool
    action: Action
    label: str = ""
    version: str = ""
    others: tuple[tuple[str, str, float], ...] = ()
    course: tuple[tuple[str, float, float], ...] = ()

    @property
    def text(self) -> str:
        """One sentence for a person."""
        who = self.candidate or "traffic"
        where = "" if self.segment is None else f" on {self.segment[0]} {self.segment[1]}"
        since, low, high = (t[:19] for t in (self.since, self.since_low, self.since_high))
        return (
            f"{self.signal} of {who}{where} changed about {since} "
            f"(between {low} and {high}): {self.after:.4g} in "
            f"{self.n_after:,} outcomes where {self.expected:.4g} was expected, {self.before:.4g} "
            f"before; evidence e^{self.log_e:.1f} of e^{self.threshold:.1f} needed; {self.action}"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def alarm_from(row: Mapping[str, Any]) -> Alarm:
    """Read what :meth:`Alarm.as_dict` gave."""
    given = dict(row)
    given["segment"] = None if given["segment"] is None else tuple(given["segment"])
    for name in ("others", "course"):
        given[name] = tuple(tuple(line) for line in given[name])
    return Alarm(**given)


def alarms_from(rows: Iterable[Mapping[str, Any]]) -> list[Alarm]:
    """Several of them."""
    return [alarm_from(row) for row in rows]
