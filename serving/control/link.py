"""What several processes share through Redis: spending, caches of conversations, health.

One task of the event loop exchanges everything ten times a second in one transaction: dollars spent
since the last time go out, totals come back; reports of health and feedback for decisions of other
processes travel over a stream. A request waits for Redis only where it takes up a conversation, and
for five milliseconds at most. While Redis is gone each process goes on by what it knew and what it
has spent since, and hands that in later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from serving.control.budgets import Account, AccountKey, Budgets
from serving.control.sessions import Sessions
from serving.heartbeat import Heartbeat
from serving.reasons import full_reason
from serving.schemas import FeedbackRequest, HealthEvent

_LOG: Final = logging.getLogger(__name__)
_EVERY_S: Final = 0.1
_TIMEOUT_S: Final = 1.0
_RECALL_S: Final = 0.005
_LOOK_S: Final = 0.05
_STREAM: Final = "router:events"
_STREAM_LENGTH: Final = 10_000
_WAITING_EVENTS: Final = 10_000
_KEPT_AFTER_S: Final = 86_400
GONE: Final = "Redis cannot be reached; each process goes on by its own estimate"


class Event(msgspec.Struct, omit_defaults=True):
    """What a process tells the others: one of the two, and for feedback who gave it."""

    health: HealthEvent | None = None
    feedback: FeedbackRequest | None = None
    caller: str | None = None
    is_trusted: bool = False


class Link:
    """One process's side.

    Parameters
    ----------
    url : ``redis://…``, ``rediss://…`` or ``unix://…``
    name : of this process, unlike every other's
    ttl_s : of conversations

    Attributes
    ----------
    heartbeat : of the exchange
    told : is given the events of others
    """

    def __init__(self, *, url: str, name: str, ttl_s: float) -> None:
        from redis.asyncio import Redis

        self.name = name
        self.ttl_s = ttl_s
        self.heartbeat = Heartbeat("shared state", 10.0)
        self.told: Callable[[Event], None] = lambda event: None
        self._redis: Any = Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        self._sessions: dict[bytes, None] = {}
        self._events: deque[bytes] = deque(maxlen=_WAITING_EVENTS)
        self._last_event: bytes | None = None
        self._is_up = False
        self._one = asyncio.Lock()

    def tell_session(self, key: bytes) -> None:
        """A conversation changed."""
        self._sessions[key] = None

    def tell_health(self, candidate: str, given: FeedbackRequest | HealthEvent) -> None:
        """How one call of a candidate went."""
        event = HealthEvent(
            candidate=candidate,
            status=given.status,
            error_class=given.error_class,
            latency_ms=given.latency_ms,
            ttft_ms=given.ttft_ms,
        )
        self._tell(Event(health=event))

    def tell_decision(self, given: FeedbackRequest, caller: str | None, is_trusted: bool) -> None:
        """Feedback for a decision of another process; the answer's text stays here."""
        given = msgspec.structs.replace(given, answer=None)
        self._tell(Event(feedback=given, caller=caller, is_trusted=is_trusted))

    async def recall(self, sessions: Sessions, key: bytes) -> None:
        """Take over what others know of a conversation, if Redis answers at once."""
        if not self._is_up:
            return
        try:
            async with asyncio.timeout(_RECALL_S):
                data = await self._redis.get(_session_key(key))
        except Exception as error:  # the request goes on with what this process knows
            _LOG.debug("a conversation could not be recalled: %s", full_reason(error))
            return
        if data is not None:
            sessions.load(key, data)

    async def look(self, budgets: Budgets, sessions: Sessions | None) -> None:
        """Exchange now, for an account that this process has not seen yet; wait briefly."""
        if self._is_up:
            # Never cancelled: what Redis has taken must not be handed in again.
            task = asyncio.create_task(self._exchange(budgets, sessions))
            task.add_done_callback(_noted)
            await asyncio.wait({task}, timeout=_LOOK_S)

    async def run(self, budgets: Budgets, sessions: Sessions | None) -> None:
        """Exchange until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._exchange(budgets, sessions)
            except Exception as error:
                # Whatever is wrong with Redis, requests go on.
                if self.heartbeat.reason is None:
                    _LOG.error("%s: %s", GONE, full_reason(error))
                self._is_up = False
                self.heartbeat.fail(GONE)
                await asyncio.sleep(_TIMEOUT_S)
            else:
                self._is_up = True
                self.heartbeat.beat()

    async def close(self, budgets: Budgets, sessions: Sessions | None) -> None:
        """Hand in what is left, if that goes quickly."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._exchange(budgets, sessions)
        except Exception as error:
            _LOG.warning("what was spent last is not handed in: %s", full_reason(error))
        await self._redis.aclose()

    async def _exchange(self, budgets: Budgets, sessions: Sessions | None) -> None:
        async with self._one:
            await self._exchange_once(budgets, sessions)

    async def _exchange_once(self, budgets: Budgets, sessions: Sessions | None) -> None:
        if self._last_event is None:
            latest = await self._redis.xrevrange(_STREAM, count=1)
            self._last_event = latest[0][0] if latest else b"0-0"
        pipe = self._redis.pipeline(transaction=True)
        accounts = _put_accounts(pipe, budgets)
        changed, events = [*self._sessions], [*self._events]
        self._sessions.clear()
        self._events.clear()
        for key in changed:
            if sessions is not None and (data := sessions.dump(key)) is not None:
                pipe.set(_session_key(key), data, px=int(1e3 * self.ttl_s))
        for event in events:
            fields = {"from": self.name, "event": event}
            pipe.xadd(_STREAM, fields, maxlen=_STREAM_LENGTH, approximate=True)
        pipe.xread({_STREAM: self._last_event}, count=_STREAM_LENGTH)
        try:
            results = await pipe.execute()
        except BaseException:
            self._sessions |= dict.fromkeys(changed)
            self._events.extendleft(reversed(events))
            for account, _, _ in accounts:
                account.is_touched = True
            raise
        for position, (account, begin, sent) in enumerate(accounts):
            if account.begin == begin:
                account.known = float(results[2 * position + 1])
                account.unsent -= sent
        self._take(results[-1])

    def _take(self, streams: Any) -> None:
        entries = [*streams.values()] if isinstance(streams, dict) else [s[1] for s in streams]
        for found in entries:
            for number, fields in _flat(found):
                self._last_event = number
                if fields[b"from"] != self.name.encode():
                    self.told(msgspec.json.decode(fields[b"event"], type=Event))

    def _tell(self, event: Event) -> None:
        self._events.append(msgspec.json.encode(event))


def _put_accounts(pipe: Any, budgets: Budgets) -> list[tuple[Account, float, float]]:
    """Hand in what was spent on accounts that were looked at; each with its window and sum."""
    now = time.time()
    accounts = []
    for key, account in budgets.accounts.items():
        if account.is_touched and now < account.end:
            account.is_touched = False
            accounts.append((account, account.begin, account.unsent))
            name = _account_key(key, account)
            # A Redis that lost its memory takes up what the processes remember.
            pipe.set(name, account.known, nx=True, exat=int(account.end) + _KEPT_AFTER_S)
            pipe.incrbyfloat(name, account.unsent)
    return accounts


def _flat(found: Any) -> list[Any]:
    """Entries of one stream; newer protocols nest them once more."""
    return found[0] if found and isinstance(found[0], list) else found


def _noted(task: asyncio.Task[None]) -> None:
    """The exchange that comes next says what is wrong."""
    if not task.cancelled():
        task.exception()


def _session_key(key: bytes) -> str:
    return f"router:session:{key.hex()}"


def _account_key(key: AccountKey, account: Account) -> str:
    budget, scope = key
    return f"router:budget:{budget}:{account.begin:.0f}:{scope}"
