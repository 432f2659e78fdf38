"""What the providers of a conversation's candidates have of its prompt in their caches.

A provider caches a prompt's prefix for some minutes. Whoever answered a turn reads the prompt of
the next one from its cache, which is cheap, and anybody else reads, or writes, all of it anew. So
the service remembers whom it chose for a conversation and how long its prompt was, and the runtime
prices the next turn with it.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from router_ml.features.query import Query

CHARS_PER_TOKEN: Final = 4
"""Of a prompt whose tokens nobody has reported yet."""
_ENTRY_BYTES: Final = 400
"""What a conversation takes in memory, measured: its key, a mapping and an entry."""
_CACHE_BYTES: Final = 150
_encode: Final = msgspec.json.Encoder().encode

Caches = dict[str, tuple[int, float]]
"""Candidate to the tokens that its provider has cached, and when it was asked, UNIX time."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Which one a request belongs to, and what the request itself says of it.

    Parameters
    ----------
    key : hash of caller, tenant and id; where there is no id, of caller, tenant, system message and
        first user message
    previous_candidate, cached_tokens : as the request has them
    is_derived : whether the request named no conversation
    """

    key: bytes
    previous_candidate: str | None = None
    cached_tokens: int | None = None
    is_derived: bool = False


class Sessions:
    """Caches by conversation, those not asked for longest forgotten first.

    Parameters
    ----------
    kept_bytes : of memory, together
    ttl_s : how long a provider keeps a prefix that is not read again
    """

    def __init__(self, *, kept_bytes: int = 32_000_000, ttl_s: float = 300.0) -> None:
        self.kept_bytes = kept_bytes
        self.ttl_s = ttl_s
        self.size = 0
        self._known: OrderedDict[bytes, Caches] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def cached_tokens(self, conversation: Conversation, query: Query) -> dict[str, int]:
        """Candidate to the tokens of this prompt that its provider has cached."""
        since = time.time() - self.ttl_s
        found = {
            name: tokens
            for name, (tokens, at) in self._known.get(conversation.key, {}).items()
            if at >= since
        }
        previous = conversation.previous_candidate
        if previous is not None:
            if conversation.cached_tokens is not None:
                found[previous] = conversation.cached_tokens
            else:
                found.setdefault(previous, estimate(query))
        return found

    def asked(self, key: bytes, candidate: str, tokens: int) -> None:
        """A candidate was asked a prompt of so many tokens, or is about to be."""
        caches = self._known.pop(key, None)
        if caches is None:
            caches = {}
            self.size += _ENTRY_BYTES
        if candidate not in caches:
            self.size += _CACHE_BYTES
        caches[candidate] = tokens, time.time()
        self._put(key, caches)

    def forget(self, key: bytes, candidate: str) -> None:
        """A candidate was not asked after all."""
        caches = self._known.get(key)
        if caches is not None and caches.pop(candidate, None) is not None:
            self.size -= _CACHE_BYTES

    def dump(self, key: bytes) -> bytes | None:
        """What is known of a conversation, for other processes."""
        caches = self._known.get(key)
        return None if caches is None else _encode(caches)

    def load(self, key: bytes, data: bytes) -> None:
        """Take over what another process knows, where it is later."""
        theirs = msgspec.json.decode(data, type=dict[str, tuple[int, float]])
        mine = self._known.pop(key, None)
        self.size += _ENTRY_BYTES if mine is None else 0
        caches = mine or {}
        for name, cache in theirs.items():
            if name not in caches:
                self.size += _CACHE_BYTES
            if name not in caches or caches[name][1] < cache[1]:
                caches[name] = cache
        self._put(key, caches)

    def _put(self, key: bytes, caches: Caches) -> None:
        self._known[key] = caches
        while self.size > self.kept_bytes and self._known:
            _, gone = self._known.popitem(last=False)
            self.size -= _ENTRY_BYTES + len(gone) * _CACHE_BYTES


def estimate(query: Query) -> int:
    """Tokens of a prompt, from its characters."""
    return max(query.history_chars // CHARS_PER_TOKEN, query.least_tokens)


def key_of(caller: str | None, tenant: str | None, named: object) -> bytes:
    """Key of a conversation; two callers never share one."""
    return hashlib.blake2b(_encode([caller, tenant, named]), digest_size=16).digest()


def beginning(messages: list[Any]) -> list[Any] | None:
    """System message and first user message, which name a conversation; ``None`` without one."""
    head = []
    for message in messages:
        if isinstance(message, Mapping):
            role = message.get("role")
            if role in ("system", "developer"):
                head.append(message.get("content"))
            elif role in ("user", "human"):
                return [*head, message.get("content")]
    return None
