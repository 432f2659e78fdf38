"""A guard may be slow, down or wrong: the request goes on, by its ``on_error``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from router_ml.errors import ConfigError
from router_ml.guards.guard import GuardRule
from router_ml.guards.remote import RemoteGuard
from router_ml.integrations.guard_server import guard_server


def mail(texts: Sequence[str]) -> set[str]:
    if any("raise" in text for text in texts):
        raise RuntimeError("secret text")
    return {"EMAIL_ADDRESS"} if any("@" in text for text in texts) else set()


@contextmanager
def served() -> Iterator[str]:
    server = guard_server(mail)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def names(rule: GuardRule, text: str) -> list[str]:
    now = [found.name for found in rule.rules([text])]
    soon = [found.name for found in asyncio.run(rule.rules_soon([text]))]
    assert now == soon
    return now


def test_over_http_and_in_process() -> None:
    with served() as url:
        for guard in (mail, RemoteGuard(url=url, timeout_ms=5_000)):
            rule = GuardRule(name="pii", guard=guard, requires=("region:eu",), timeout_ms=5_000)
            assert names(rule, "a@b") == ["guard:pii(EMAIL_ADDRESS)"]
            assert names(rule, "hello") == []
            assert names(rule, "raise") == ["guard:pii(unavailable)"]
            rule.close()


def test_on_error() -> None:
    down = RemoteGuard(url="http://127.0.0.1:9")
    assert names(GuardRule(name="g", guard=down, requires=("x",)), "a") == ["guard:g(unavailable)"]
    assert names(GuardRule(name="g", guard=down, requires=("x",), on_error="pass"), "a") == []


def test_a_slow_guard_costs_its_limit_and_then_nothing() -> None:
    asked = []

    def slow(texts: Sequence[str]) -> set[str]:
        asked.append(1)
        time.sleep(0.3)
        return set()

    rule = GuardRule(name="g", guard=slow, requires=("x",), timeout_ms=10, threads=1)
    begun = time.monotonic()
    for _ in range(50):
        assert [found.name for found in rule.rules(["a"])] == ["guard:g(unavailable)"]
    assert time.monotonic() - begun < 2.5
    assert len(asked) <= 5
    rule.close()


def test_labels_are_chosen_and_never_carry_text() -> None:
    loud = GuardRule(name="g", guard=lambda texts: {"he said: a b"}, requires=("x",))
    assert names(loud, "a") == ["guard:g(other)"]
    picky = GuardRule(name="g", guard=lambda texts: {"A", "B"}, requires=("x",), labels=("B", "C"))
    assert names(picky, "a") == ["guard:g(B)"]


@pytest.mark.parametrize(
    "options",
    [{}, {"requires": ("x",), "timeout_ms": 0}, {"requires": ("x",), "on_error": "maybe"}],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GuardRule(name="g", guard=mail, **options)  # type: ignore[arg-type]
