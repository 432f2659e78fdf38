r"""A challenger beside the champion: in its shadow, or with a share of the traffic.

In the shadow (share 0) the champion decides, and the challenger decides the same requests off the
callers' time; its rows are of kind ``shadow`` and are never joined as something that was served.

With a share, each unit (the session, or else the caller's conversation) belongs to one arm for
ever: a salted hash of it decides. The propensity in the log is that of the mixture,

.. math:: \pi(k) = (1 - s)\, \pi_0(k) + s\, \pi_1(k)

with :math:`s` the share, so a row waits until the other arm has scored, too, off the caller's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from router_ml.errors import RouterError
from router_ml.types.decisions import Decision
from serving.heartbeat import Heartbeat
from serving.loading.loader import Loader, Router
from serving.reasons import full_reason
from serving.requests import Ask, Trial

_LOG: Final = logging.getLogger(__name__)
_TOGETHER: Final = 32
_MOST_WAITING: Final = 1_024
_ROUND_S: Final = 1.0
_STOPPED_S: Final = 30.0


class Mixture(NamedTuple):
    """The distribution that a decision of an experiment was drawn from."""

    names: tuple[str, ...]
    probs: tuple[float, ...]


class Made(NamedTuple):
    """A decision that was answered; its row is still to be written."""

    decision_id: str
    time: str
    router: Router
    ask: Ask
    decision: Decision
    ranking: Any


@dataclass(frozen=True, slots=True)
class Recording:
    """How what comes of an experiment is written; all are called on the event loop.

    Parameters
    ----------
    served : row of a decision that was answered, with its mixture
    shadow : row of what the challenger would have done; an error in the place of its decision
    dropped : counts a shadow that nobody had time for
    """

    served: Callable[[Made, Mixture], None]
    shadow: Callable[[Made, Router, Decision | RouterError], None]
    dropped: Callable[[], None]


class Experiment:
    """Assigns units to arms and scores what the other arm would have done.

    Parameters
    ----------
    name : salts the assignment, so that another experiment mixes units anew
    share : of units that the challenger serves; 0 = it stays in the shadow
    loader : holds the challenger
    recording : writes rows

    Attributes
    ----------
    heartbeat : of the scoring thread
    """

    def __init__(self, *, name: str, share: float, loader: Loader, recording: Recording) -> None:
        self.name = name
        self.share = share
        self.loader = loader
        self.heartbeat = Heartbeat("experiment", _STOPPED_S)
        self._recording = recording
        self._queue: queue.SimpleQueue[Made | None] = queue.SimpleQueue()
        self._done: deque[tuple[Made, Router, Decision | RouterError]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="experiment", daemon=True)

    def start(self) -> None:
        """Load the challenger and begin to score; called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self.loader.start()
        self._thread.start()

    def close(self) -> None:
        """Score and write what waits."""
        self.loader.close()
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(5)
        self._finish()

    def enrol(self, ask: Ask, champion: Router) -> Ask:
        """The ask with its arm; as it is while there is no challenger."""
        challenger = self.loader.current
        if challenger is None:
            return ask
        unit = unit_of(ask)
        place = hashlib.blake2b(f"{self.name}\x1f{unit}".encode(), digest_size=8).digest()
        served = int.from_bytes(place) < self.share * 2**64
        known = hashlib.blake2b(unit.encode(), digest_size=8).hexdigest()
        return replace(ask, trial=Trial(self.name, self.share, known, champion, challenger, served))

    def take(self, made: Made) -> None:
        """Take an answered decision of an enrolled ask; its row follows."""
        trial = _trial(made.ask)
        if self.share and made.router is not trial.router:
            # It fell back to the champion, as every arm would have: nothing is mixed.
            self._recording.served(made, mixture(made, None, None, 1.0))
        elif self._queue.qsize() < _MOST_WAITING:
            self._queue.put(made)
        elif self.share:
            # A row without its propensity would be worth nothing.
            self._done.extend(self._score([made]))
            self._finish()
        else:
            self._recording.dropped()

    def _work(self) -> None:
        while True:
            some: list[Made] = []
            with contextlib.suppress(queue.Empty):
                made = self._queue.get(timeout=_ROUND_S)
                while made is not None:
                    some.append(made)
                    if len(some) == _TOGETHER:
                        break
                    made = self._queue.get_nowait()
                else:
                    self._done.extend(self._score(some))
                    return
            self._done.extend(self._score(some))
            if self._done and self._loop is not None:
                with contextlib.suppress(RuntimeError):  # closed: `close` writes the rest
                    self._loop.call_soon_threadsafe(self._finish)

    def _score(self, some: Sequence[Made]) -> list[tuple[Made, Router, Decision | RouterError]]:
        out: list[tuple[Made, Router, Decision | RouterError]] = []
        for made in some:
            trial = _trial(made.ask)
            other = trial.champion if trial.is_challenger else trial.challenger
            try:
                result: Decision | RouterError = other.runtime.decide(
                    made.ask.query, made.ask.limits
                )
            except RouterError as error:
                result = error
            except Exception as error:
                _LOG.error("the other arm failed: %s", full_reason(error))
                self.heartbeat.fail("the other arm fails")
                result = RouterError("the other arm failed")
            out.append((made, other, result))
        self.heartbeat.beat()
        return out

    def _finish(self) -> None:
        while self._done:
            made, other, result = self._done.popleft()
            if not self.share:
                self._recording.shadow(made, other, result)
                continue
            trial = _trial(made.ask)
            own = trial.share if trial.is_challenger else 1.0 - trial.share
            # Where the challenger fails the champion decides: both arms are the champion.
            decided = result if isinstance(result, Decision) else None
            self._recording.served(made, mixture(made, decided, other, own))


def mixture(
    made: Made, decided: Decision | None, other: Router | None, own_share: float
) -> Mixture:
    """The distribution over both arms' candidates.

    Parameters
    ----------
    made : decision of the arm that answered
    decided, other : of the other arm; ``None`` = it would not have answered, so that the row tells
        of one arm alone
    own_share : probability of the arm that answered
    """
    own, names = made.decision, made.router.runtime.candidates.names
    if decided is None or other is None:
        return Mixture(names, own.action_probs)
    probs = dict(zip(names, (own_share * p for p in own.action_probs), strict=True))
    for name, p in zip(other.runtime.candidates.names, decided.action_probs, strict=True):
        probs[name] = probs.get(name, 0.0) + (1.0 - own_share) * p
    return Mixture(tuple(probs), tuple(probs.values()))


def unit_of(ask: Ask) -> str:
    """What is assigned as a whole: the session, or else the caller's conversation."""
    if ask.session_id is not None:
        return ask.session_id
    request = ask.request
    first = request.query if request.messages is None else repr(request.messages[:2])
    return f"{ask.call.key_name}\x1f{ask.tenant}\x1f{first}"


def _trial(ask: Ask) -> Trial:
    if ask.trial is None:
        raise RuntimeError("expected an enrolled ask")
    return ask.trial
