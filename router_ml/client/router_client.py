"""Asks the scoring service, and has somebody to ask when it does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from router_ml.client.breaker import Breaker
from router_ml.client.choice import Caller, Choice, given
from router_ml.client.connection import Connections

_LOG: Final = logging.getLogger(__name__)


class RouterClient(Caller):
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
        super().__init__(
            url=url, fallback=fallback, api_key=api_key, timeout_s=timeout_s, breaker=breaker
        )
        self._connections = Connections(url=url, kept=connections)

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
        body = given({"messages": messages, "query": query, "tools": tools, **fields})
        try:
            return self._choice(
                *self._post("/v1/route", body, timeout_s or self.timeout_s, traceparent)
            )
        except Exception as error:
            # The contract: whatever goes wrong here, the caller has somebody to ask.
            return self._instead(error)

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

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        timeout_s: float,
        traceparent: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        data, headers, deadline = self._begin(body, timeout_s, traceparent)
        try:
            status, content = self._connections.post(path, data, headers, deadline)
            return status, self._heard(status, content)
        except Exception:
            self.breaker.fail(now=time.monotonic())
            raise
