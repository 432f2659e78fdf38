"""The client of the scoring service for asyncio; no thread is woken for a call."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from router_ml.client.async_connection import AsyncConnections
from router_ml.client.breaker import Breaker
from router_ml.client.choice import Caller, Choice, given

_LOG: Final = logging.getLogger(__name__)


class AsyncRouterClient(Caller):
    """Asks a scoring service; to be used from one event loop at a time.

    Parameters
    ----------
    url, fallback, api_key, timeout_s, breaker, connections : as
        :class:`router_ml.client.RouterClient` takes them

    Examples
    --------
    >>> import asyncio
    >>> client = AsyncRouterClient(url="http://127.0.0.1:9", fallback="gpt-4o-mini", timeout_s=0.2)
    >>> asyncio.run(client.route(query="Hello")).source
    'fallback'
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
        self._connections = AsyncConnections(url=url, kept=connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def route(
        self,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        query: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        timeout_s: float | None = None,
        traceparent: str | None = None,
        **fields: Any,
    ) -> Choice:
        """Whom to ask, as :meth:`router_ml.client.RouterClient.route`; never raises."""
        body = given({"messages": messages, "query": query, "tools": tools, **fields})
        try:
            return self._choice(
                *await self._post("/v1/route", body, timeout_s or self.timeout_s, traceparent)
            )
        except Exception as error:
            # The contract: whatever goes wrong here, the caller has somebody to ask.
            return self._instead(error)

    async def feedback(
        self, decision_id: str | None, *, timeout_s: float | None = None, **fields: Any
    ) -> bool:
        """Say what became of a decision; whether it was recorded. Never raises."""
        if decision_id is None:
            return False
        body = {"decision_id": decision_id, **fields}
        try:
            status, _ = await self._post(
                "/v1/feedback", body, timeout_s or max(1.0, self.timeout_s)
            )
        except Exception as error:
            _LOG.warning("feedback was not sent: %s", type(error).__name__)
            return False
        return status == 202

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.close()

    async def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        timeout_s: float,
        traceparent: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        data, headers, deadline = self._begin(body, timeout_s, traceparent)
        try:
            status, content = await self._connections.post(path, data, headers, deadline)
            return status, self._heard(status, content)
        except Exception:
            self.breaker.fail(now=time.monotonic())
            raise
