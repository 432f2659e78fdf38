"""Whom to ask, and what a client of the service shares with another: headers, breaker, answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from router_ml.client.breaker import Breaker
from router_ml.client.connection import left_s
from router_ml.errors import ConfigError

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask.

    Parameters
    ----------
    candidate : the router's choice, or the fallback
    ranking : candidates to try in turn: the chosen one, then the best of every other provider
    decision_id : names the decision in feedback; ``None`` from the fallback
    source : who chose
    reason : one sentence for a person
    propensity : probability with which the candidate was drawn; ``None`` from a fallback
    policy : that drew it
    version : of the router
    """

    candidate: str
    ranking: tuple[str, ...]
    decision_id: str | None
    source: Literal["router", "fallback"]
    reason: str
    propensity: float | None = None
    policy: str = ""
    version: str = ""


class Caller:
    """What every client of the service does around a call; the call itself is the client's.

    Parameters
    ----------
    url, fallback, api_key, timeout_s, breaker : as :class:`router_ml.client.RouterClient` has them
    """

    def __init__(
        self,
        *,
        url: str,
        fallback: str,
        api_key: str | None,
        timeout_s: float,
        breaker: Breaker | None,
    ) -> None:
        if not fallback or not timeout_s > 0:
            raise ConfigError(
                f"fallback must name a candidate and timeout_s be above 0, got {fallback!r} and "
                f"{timeout_s}"
            )
        self.url = url
        self.fallback = fallback
        self.timeout_s = timeout_s
        self.breaker = breaker or Breaker()
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def _begin(
        self, body: Mapping[str, Any], timeout_s: float, traceparent: str | None
    ) -> tuple[bytes, dict[str, str], float]:
        """Body, headers and deadline of a call that the breaker allows."""
        data = json.dumps(body).encode()  # a body that is no JSON says nothing of the service
        now = time.monotonic()
        if not self.breaker.allows(now=now):
            raise OpenError
        deadline = now + timeout_s
        headers = self._headers | {"X-Deadline-Ms": f"{max(1.0, 1e3 * left_s(deadline)):.0f}"}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        return data, headers, deadline

    def _heard(self, status: int, content: bytes) -> dict[str, Any]:
        """The answer, and what it says of the service."""
        answer = json.loads(content)
        if not isinstance(answer, dict):
            raise ValueError("expected a JSON object")
        if status >= 500 or status in (401, 403):
            self.breaker.fail(now=time.monotonic())
        else:
            self.breaker.succeed()
        return answer

    def _choice(self, status: int, answer: Mapping[str, Any]) -> Choice:
        """The router's choice, or the fallback."""
        if status != 200:
            return self._fall_back(f"the router answered {status}: {answer.get('detail', '')}")
        return Choice(
            candidate=str(answer["candidate"]),
            ranking=_chain(answer),
            decision_id=str(answer["decision_id"]),
            source="router",
            reason=str(answer["reason"]),
            propensity=answer.get("propensity"),
            policy=str(answer.get("policy", "")),
            version=str(answer.get("router", {}).get("version", "")),
        )

    def _instead(self, error: Exception) -> Choice:
        """The fallback, because of an error."""
        if isinstance(error, OpenError):
            return self._fall_back("the router failed a moment ago and is left alone")
        return self._fall_back(f"the router cannot be asked: {type(error).__name__}: {error}")

    def _fall_back(self, reason: str) -> Choice:
        _LOG.warning("%s; %s answers", reason, self.fallback)
        return Choice(self.fallback, (self.fallback,), None, "fallback", reason)


class OpenError(Exception):
    """The breaker is open."""


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not ``None``."""
    return {name: value for name, value in fields.items() if value is not None}


def _chain(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The chosen candidate and its fallbacks."""
    chosen = str(answer["candidate"])
    names = answer.get("fallbacks") or [line["candidate"] for line in answer["ranking"]]
    return (chosen, *(str(name) for name in names if name != chosen))
