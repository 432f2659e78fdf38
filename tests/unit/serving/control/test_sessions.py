from __future__ import annotations

import time
from typing import Any

import pytest

from router_ml.features.query import parse_query
from serving.control.sessions import Conversation, Sessions, beginning, key_of

QUERY = parse_query("word " * 800)


def cached(sessions: Sessions, key: bytes, **given: Any) -> dict[str, int]:
    return sessions.cached_tokens(Conversation(key, **given), QUERY)


def test_a_cache_is_forgotten_when_the_provider_forgets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions = Sessions(ttl_s=300.0)
    sessions.asked(b"k", "a", 2_000)
    assert cached(sessions, b"k") == {"a": 2_000}
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert cached(sessions, b"k") == {}
    sessions.asked(b"k", "b", 3_000)
    assert cached(sessions, b"k") == {"b": 3_000}


def test_the_request_knows_better() -> None:
    sessions = Sessions()
    sessions.asked(b"k", "a", 2_000)
    assert cached(sessions, b"k", previous_candidate="a", cached_tokens=0) == {"a": 0}
    assert cached(sessions, b"k", previous_candidate="b") == {"a": 2_000, "b": 1_000}


def test_memory_is_bounded() -> None:
    sessions = Sessions(kept_bytes=100_000)
    for n in range(10_000):
        sessions.asked(n.to_bytes(16, "big"), f"candidate-{n % 3}", n)
        sessions.asked(n.to_bytes(16, "big"), "other", n)
    assert sessions.size <= 100_000
    assert 100 < len(sessions) < 250
    assert cached(sessions, (9_999).to_bytes(16, "big"))
    assert not cached(sessions, bytes(16))
    sessions.forget((9_999).to_bytes(16, "big"), "other")
    assert len(cached(sessions, (9_999).to_bytes(16, "big"))) == 1


def test_the_estimate_of_memory_is_no_lie() -> None:
    import tracemalloc

    tracemalloc.start()
    sessions = Sessions(kept_bytes=4_000_000)
    for n in range(20_000):
        sessions.asked(n.to_bytes(16, "big"), "candidate-0", n)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sessions.size <= 4_000_000
    assert used < 1.3 * 4_000_000


def test_processes_agree_on_the_later() -> None:
    mine, theirs = Sessions(), Sessions()
    mine.asked(b"k", "a", 1)
    time.sleep(0.002)
    theirs.asked(b"k", "a", 2)
    theirs.asked(b"k", "b", 3)
    mine.load(b"k", theirs.dump(b"k") or b"")
    theirs.load(b"k", mine.dump(b"k") or b"")
    assert cached(mine, b"k") == cached(theirs, b"k") == {"a": 2, "b": 3}


def test_nobody_shares_a_conversation_with_another_caller() -> None:
    named = {key_of(caller, tenant, "x") for caller in (None, "web") for tenant in (None, "acme")}
    assert len(named) == 4
    user = {"role": "user", "content": "Hi"}
    assert beginning([{"role": "system", "content": "S"}, user, user]) == ["S", "Hi"]
    assert beginning([{"role": "system", "content": "S"}]) is None
