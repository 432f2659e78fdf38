"""Asks the scoring service, and has somebody to ask when it does not answer."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

from router_ml.client.breaker import Breaker
from router_ml.client.connection import Connections, left_s
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


class RouterClient:
    """Asks a scoring service; safe to use from several threads.

    Parameters
    ----------
    url : of the service, such as ``http://router:8080``; ``https`` as well
    fallback : the candidate that answers when the router does not
    api_key : bearer key, if the service wants one
    timeout_s : of one call, connecting included
    breaker : ``None`` = five failures in a row, and five seconds of pause
    connections : kept open at most

    Examples
    --------
    >>> client = RouterClient(url="http://127.0.0.1:9", fallback="gpt-4o-mini", timeout_s=0.2)
    >>> choice = client.route(messages=[{"role": "user", "content": "Hello"}])
    >>> choice.candidate, choice.source
    ('gpt-4o-mini', 'fallback')
    """

    def __init__(
        self,
        *,
        url: str,
        fallback: str,
        api_key: str | None = None,
        timeout_s: float = 0.25,
        breaker: Breaker | None = None,
        connections: int = 16,
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
        self._connections = Connections(url=url, kept=connections)
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def route(
        self,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        query: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        timeout_s: float | None = None,
        traceparent: str | None = None,
        **fields: Any,
    ) -> Choice:
        """Whom to ask; never raises for what the service or the network does.

        Parameters
        ----------
        messages, query, tools : as ``POST /v1/route`` takes them
        timeout_s : of this call
        traceparent : W3C trace context, in which the service's span of the decision then stands
        fields : further ones of the request, such as ``cost_weight`` or ``request_id``
        """
        given = {"messages": messages, "query": query, "tools": tools, **fields}
        body = {name: value for name, value in given.items() if value is not None}
        try:
            status, answer = self._post(
                "/v1/route", body, timeout_s or self.timeout_s, traceparent=traceparent
            )
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
        except _OpenError:
            return self._fall_back("the router failed a moment ago and is left alone")
        except Exception as error:
            # The contract: whatever goes wrong here, the caller has somebody to ask.
            return self._fall_back(f"the router cannot be asked: {type(error).__name__}: {error}")

    def feedback(
        self, decision_id: str | None, *, timeout_s: float | None = None, **fields: Any
    ) -> bool:
        """Say what became of a decision; whether it was recorded. Never raises.

        Parameters
        ----------
        decision_id : of a :class:`Choice`; ``None``, from a fallback, is not sent
        fields : as ``POST /v1/feedback`` takes them
        """
        if decision_id is None:
            return False
        try:
            status, _ = self._post(
                "/v1/feedback",
                {"decision_id": decision_id, **fields},
                timeout_s or max(1.0, self.timeout_s),
            )
        except Exception as error:
            _LOG.warning("feedback was not sent: %s", type(error).__name__)
            return False
        return status == 202

    def ask(
        self, path: str, body: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any] | None:
        """Post to any path of the service; ``None`` where it gives no answer. Never raises.

        Examples
        --------
        >>> client = RouterClient(url="http://127.0.0.1:9", fallback="small")
        >>> client.ask("/v1/decisions", {"model": "router", "input": "Hi", "questions": []})
        """
        try:
            status, answer = self._post(path, body, timeout_s or self.timeout_s)
        except Exception as error:
            _LOG.warning("%s was not answered: %s", path, type(error).__name__)
            return None
        return answer if status == 200 else None

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.close()

    def _fall_back(self, reason: str) -> Choice:
        _LOG.warning("%s; %s answers", reason, self.fallback)
        return Choice(self.fallback, (self.fallback,), None, "fallback", reason)

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        timeout_s: float,
        *,
        traceparent: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        data = json.dumps(body).encode()  # a body that is no JSON says nothing of the service
        now = time.monotonic()
        if not self.breaker.allows(now=now):
            raise _OpenError
        deadline = now + timeout_s
        headers = self._headers | {"X-Deadline-Ms": f"{max(1.0, 1e3 * left_s(deadline)):.0f}"}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            status, content = self._connections.post(path, data, headers, deadline)
            answer = json.loads(content)
            if not isinstance(answer, dict):
                raise ValueError("expected a JSON object")
        except Exception:
            self.breaker.fail(now=time.monotonic())
            raise
        if status >= 500 or status in (401, 403):
            self.breaker.fail(now=time.monotonic())
        else:
            self.breaker.succeed()
        return status, answer


class _OpenError(Exception):
    """The breaker is open."""


def _chain(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The chosen candidate and its fallbacks."""
    chosen = str(answer["candidate"])
    names = answer.get("fallbacks") or [line["candidate"] for line in answer["ranking"]]
    return (chosen, *(str(name) for name in names if name != chosen))
