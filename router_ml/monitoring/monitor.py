r"""All streams of a router under one error rate.

The e-processes of streams are averaged with weights that sum to one. The average is again an
e-process, so that on traffic that does not change, the probability that it ever raises an alarm is
``alpha`` at most, however many candidates, segments and signals there are and however long it runs.
After an alarm its streams begin anew, and the same holds until the next.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from router_ml.monitoring.alarm import Action, Alarm
from router_ml.monitoring.detector import log_sum
from router_ml.monitoring.signals import QUALITY, SIGNALS, TRAFFIC, Kind, Observations, kind_of
from router_ml.monitoring.stream import Key, Shift, Stream, Times
from router_ml.monitoring.traffic import UNSEEN
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

ALL: Final = 0.6
"""Share of a candidate's part that goes to all requests together; segments have the rest."""
_KNOWN: Final = 0.9
"""Share of candidates, and of the label, that were there first; later ones have the rest."""
_FIRST: Final = 30
"""Outcomes of quality by which it is told whether it is right or wrong, or a score."""
_MOST_VALUES: Final = 24
"""Values of a kind of segment that are watched."""
_BEFORE_COMMON: Final = 8.0


class Monitor:
    """Tests outcomes as they come.

    Parameters
    ----------
    candidates : of the router, to their shares of the traffic. Half of the error rate is spent by
        these, half on all alike: what serves most is known best and matters most
    kinds : of segments that outcomes may have
    alpha : probability of an alarm, ever, where nothing changes
    actions : by signal, for changes for the worse; others ask for a retraining
    mask_below : ``mask`` is for qualities that fall below this share of what was expected, and
        failures that rise above its complement; else the candidate is explored

    Attributes
    ----------
    version : of the router that predicted, for alarms
    streams : by key
    """

    def __init__(
        self,
        *,
        candidates: Mapping[str, float],
        kinds: Sequence[str] = (),
        alpha: float = 0.05,
        actions: Mapping[str, Action] | None = None,
        mask_below: float = 0.6,
        version: str = "",
    ) -> None:
        total = sum(candidates.values())
        self.candidates = {
            name: 0.5 / len(candidates) + 0.5 * (share / total if total else 1.0 / len(candidates))
            for name, share in candidates.items()
        }
        self.kinds = tuple(kinds)
        self.alpha = alpha
        self.actions = dict(actions or {})
        self.mask_below = mask_below
        self.version = version
        self.streams: dict[Key, Stream] = {}
        self._labels: list[str] = []
        self._families: dict[tuple[str, str], Kind] = {}
        self._waiting: dict[tuple[str, str], list[Observations]] = {}
        self._newcomers: list[str] = []
        self._said: dict[tuple[str, str, str], int] = {}

    @property
    def threshold(self) -> float:
        """Of the weighted log e-value."""
        return -math.log(self.alpha)

    def traffic(
        self, kind: str, time: Times, shares: Mapping[str, tuple[float, FloatArray]], n_kinds: int
    ) -> list[Alarm]:
        """Take properties of n requests: what they show.

        Parameters
        ----------
        shares : value to the share that training saw, and who has it, shape (n,)
        n_kinds : of properties that are watched
        """
        reached = False
        for value, (share, observed) in shares.items():
            key = Key(TRAFFIC, "", "", kind, value)
            stream = self.streams.get(key)
            if stream is None:
                weight = SIGNALS[TRAFFIC].weight / n_kinds / len(shares)
                what: Kind = "new" if value == UNSEEN else "share"
                stream = self.streams[key] = Stream(kind=what, log_weight=math.log(weight))
            stream.update(time, np.full(len(observed), share), observed)
            reached |= stream.peak >= self.threshold
        return self._alarms(time[-1]) if reached or self.log_e >= self.threshold else []

    def update(self, observations: Observations) -> list[Alarm]:
        """Take outcomes of one signal; what they show."""
        found: list[Alarm] = []
        for part in self._typed(observations):
            names = np.array(part.candidate)
            reached = False
            for name in dict.fromkeys(part.candidate):
                mine = np.flatnonzero(names == name)
                reached |= self._candidate(part, str(name), mine)
            if reached or self.log_e >= self.threshold:
                found += self._alarms(part.time[-1])
        return found

    @property
    def log_e(self) -> float:
        """Logarithm of the average e-process."""
        return float(
            log_sum(np.array([-np.inf, *(stream.log_e for stream in self.streams.values())]))
        )

    def evidence(self) -> dict[tuple[str, str, str], float]:
        """Logarithm of the e-process by signal, label and candidate."""
        groups: dict[tuple[str, str, str], list[float]] = {}
        for key, stream in self.streams.items():
            groups.setdefault(key.group, []).append(stream.log_e)
        return {group: float(log_sum(np.array(values))) for group, values in groups.items()}

    def _typed(self, new: Observations) -> Iterable[Observations]:
        """The outcomes, once it is known of what kind they are."""
        if not len(new):
            return ()
        key = new.signal, new.label
        if key in self._families:
            return (new,)
        waiting = [*self._waiting.pop(key, []), new]
        if new.signal == QUALITY and sum(map(len, waiting)) < _FIRST:
            self._waiting[key] = waiting
            return ()
        self._families[key] = kind_of(new.signal, np.concatenate([o.observed for o in waiting]))
        return waiting

    def _candidate(self, new: Observations, name: str, mine: IntArray) -> bool:
        """Update the streams of one candidate; whether one of them shows a change by itself."""
        key = Key(new.signal, new.label, name)
        reached = self._feed(key, new, mine)
        for kind in self.kinds if SIGNALS[new.signal].segmented else ():
            values = new.segments.get(kind)
            if values is None:
                continue
            of_mine = np.array([values[i] for i in mine])
            for value in dict.fromkeys(of_mine.tolist()):
                if value:
                    part = key._replace(kind=kind, value=value)
                    reached |= self._feed(part, new, mine[of_mine == value])
        return reached

    def _feed(self, key: Key, new: Observations, rows: IntArray | BoolArray) -> bool:
        stream = self.streams.get(key)
        if stream is None:
            log_weight = self._log_weight(key)
            if log_weight == -math.inf:
                return False
            kind = self._families[key.signal, key.label]
            stream = self.streams[key] = Stream(kind=kind, log_weight=log_weight)
        stream.update(new.time[rows], new.predicted[rows], new.observed[rows])
        return stream.peak >= self.threshold

    def _log_weight(self, key: Key) -> float:
        """Logarithm of the share of the error rate that a new stream has."""
        known = self.candidates.get(key.candidate)
        if known is None and key.candidate not in self._newcomers:
            self._newcomers.append(key.candidate)
        if key.signal == QUALITY and key.label not in self._labels:
            self._labels.append(key.label)
        weight = SIGNALS[key.signal].weight
        if known is None:
            weight *= (1.0 - _KNOWN) * 0.5 ** (self._newcomers.index(key.candidate) + 1)
        else:
            weight *= _KNOWN * known
        if key.signal == QUALITY:
            label = self._labels.index(key.label)
            weight *= _KNOWN if label == 0 else (1.0 - _KNOWN) * 0.5**label
        if not self.kinds or not SIGNALS[key.signal].segmented:
            return math.log(weight)
        if not key.kind:
            return math.log(weight * ALL)
        others = {o.value for o in self.streams if o.kind == key.kind and o.group == key.group}
        if len(others) >= _MOST_VALUES:
            return -math.inf
        i = len(others) + _BEFORE_COMMON
        share = math.log(_BEFORE_COMMON) / (i * math.log(i) ** 2)
        return math.log(weight * (1.0 - ALL) / len(self.kinds) * share)

    def _alarms(self, now: np.datetime64) -> list[Alarm]:
        """What has reached the threshold, group by group; their streams begin anew."""
        found: list[Alarm] = []
        while True:
            peaks = {key: stream.peak for key, stream in self.streams.items()}
            total = float(log_sum(np.array([-np.inf, *peaks.values()])))
            if total < self.threshold:
                return found
            groups = {key.group for key in peaks}
            of = {
                group: float(
                    log_sum(np.array([v for key, v in peaks.items() if key.group == group]))
                )
                for group in groups
            }
            group = max(sorted(groups), key=of.__getitem__)
            found.append(self._alarm(group, of[group], now))

    def _alarm(self, group: tuple[str, str, str], log_e: float, now: np.datetime64) -> Alarm:
        mine = {key: stream for key, stream in self.streams.items() if key.group == group}
        order = sorted(mine, key=lambda key: -mine[key].peak)
        first = order[0]
        shift = mine[first].shift()
        since, low, high = (str(moment) for moment in shift.times)
        worse = (
            first.signal == TRAFFIC
            or (shift.after - shift.expected) * SIGNALS[first.signal].worse > 0.0
        )
        number = self._said[group] = self._said.get(group, 0) + 1
        name = "|".join((*group, self.version, str(number)))
        alarm = Alarm(
            alarm_id=hashlib.sha256(name.encode()).hexdigest()[:16],
            time=str(now),
            signal=first.signal,
            candidate=first.candidate,
            segment=(first.kind, first.value) if first.kind else None,
            since=since,
            since_low=low,
            since_high=high,
            before=shift.before,
            after=shift.after,
            expected=shift.expected,
            n_before=shift.n_before,
            n_after=shift.n_after,
            log_e=log_e,
            threshold=self.threshold,
            worse=worse,
            action=self._action(first, shift, worse),
            label=first.label,
            version=self.version,
            others=tuple(
                (key.kind, key.value, round(mine[key].peak, 3))
                for key in order[1:6]
                if mine[key].peak > 0.0
            ),
            course=shift.course,
        )
        for stream in mine.values():
            stream.restart(shift.times[0])
        return alarm

    def _action(self, key: Key, shift: Shift, worse: bool) -> Action:
        action = self.actions.get(key.signal, "retrain") if worse else "retrain"
        if action != "mask" or key.kind:
            return action if action != "mask" else "retrain"
        bad = (
            shift.after < self.mask_below * shift.expected
            if key.signal == QUALITY
            else shift.after > 1.0 - self.mask_below
        )
        return "mask" if bad else "explore"

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is to be kept between runs: JSON-able, and arrays by name."""
        keys = [*self.streams]
        told = {
            "candidates": self.candidates,
            "newcomers": self._newcomers,
            "kinds": list(self.kinds),
            "version": self.version,
            "labels": self._labels,
            "families": [[*key, kind] for key, kind in self._families.items()],
            "said": [[*group, number] for group, number in self._said.items()],
            "streams": [
                [*key, self.streams[key].kind, self.streams[key].log_weight] for key in keys
            ],
            "waiting": [_to_json(o) for some in self._waiting.values() for o in some],
        }
        arrays = {
            f"{i}.{name}": value
            for i, key in enumerate(keys)
            for name, value in self.streams[key].state().items()
        }
        return told, arrays

    def load(self, told: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Go on where another was."""
        self.candidates, self._newcomers = dict(told["candidates"]), list(told["newcomers"])
        self.kinds, self.version = tuple(told["kinds"]), told["version"]
        self._labels = list(told["labels"])
        self._said = {(a, b, c): number for a, b, c, number in told["said"]}
        self._families = {(a, b): kind for a, b, kind in told["families"]}
        self._waiting = {}
        for row in told["waiting"]:
            waiting = _from_json(row)
            self._waiting.setdefault((waiting.signal, waiting.label), []).append(waiting)
        parts: dict[int, dict[str, Any]] = {}
        for name, value in arrays.items():
            number, _, rest = name.partition(".")
            parts.setdefault(int(number), {})[rest] = value
        self.streams = {}
        for i, (*names, kind, log_weight) in enumerate(told["streams"]):
            stream = self.streams[Key(*names)] = Stream(kind=kind, log_weight=log_weight)
            stream.load(parts[i])


def _to_json(o: Observations) -> dict[str, Any]:
    return {
        "signal": o.signal,
        "label": o.label,
        "time": o.time.astype(np.int64).tolist(),
        "candidate": list(o.candidate),
        "predicted": o.predicted.tolist(),
        "observed": o.observed.tolist(),
        "segments": {kind: list(values) for kind, values in o.segments.items()},
    }


def _from_json(row: Mapping[str, Any]) -> Observations:
    return Observations(
        **{
            **row,
            "time": np.array(row["time"]).astype("datetime64[us]"),
            "predicted": np.array(row["predicted"], dtype=float),
            "observed": np.array(row["observed"], dtype=float),
        }
    )
