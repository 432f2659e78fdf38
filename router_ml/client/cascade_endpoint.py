"""A client of ``/v1/cascade/next``, for :class:`router_ml.cascade.client.CascadeClient`."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.next_step import NextStep
from router_ml.client.connection import Connections
from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from router_ml.features.query import Query
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints

_PATH: Final = "/v1/cascade/next"
_LIMITS: Final = (
    "candidates",
    "max_cost_usd",
    "max_latency_ms",
    "min_quality",
    "cost_weight",
    "max_output_tokens",
)
"""Limits that a caller sets; the service works out the rest from the request and the key."""


class CascadeEndpoint:
    """Asks a scoring service for the next step of one request; standard library alone.

    Parameters
    ----------
    url : of the service, such as ``http://router:8080``
    request : what is being asked, as ``/v1/route`` takes it: ``query`` or ``messages``, ``tools``
    api_key : bearer key, if the service wants one
    timeout_s : of one call
    traceparent : W3C trace context, in which the service's spans of the steps then stand
    connections : to ``url``, kept for several requests; ``None`` = one a call

    Examples
    --------
    ::

        body = {"messages": messages, "tools": tools}
        endpoint = CascadeEndpoint(url="http://localhost:8080", request=body)
        CascadeClient(decides=endpoint, ask=call_llm, max_cost_usd=0.01).run(
            parse_query(messages, tools)
        )
    """

    def __init__(
        self,
        *,
        url: str,
        request: Mapping[str, Any],
        api_key: str | None = None,
        timeout_s: float = 5.0,
        traceparent: str | None = None,
        connections: Connections | None = None,
    ) -> None:
        self.url = url.rstrip("/") + _PATH
        self.request = dict(request)
        self.timeout_s = timeout_s
        self._connections = connections or Connections(url=url, kept=1)
        self._keeps = connections is not None
        self._headers = {"content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        if traceparent is not None:
            self._headers["traceparent"] = traceparent

    def next(
        self,
        query: Query,
        attempts: Sequence[Attempt],
        constraints: Constraints = NO_CONSTRAINTS,
        *,
        max_depth: int | None = None,
    ) -> NextStep:
        """As ``CascadeRuntime.next``; ``query`` is not sent, ``request`` is.

        Raises
        ------
        InvalidRequestError
            If the service refuses the request, in its words.
        ScorerUnavailableError
            If it cannot be reached, cannot score now, or answers something else.
        """
        given = asdict(constraints)
        limits = {name: given[name] for name in _LIMITS if given[name] is not None}
        body = self.request | {"answers": [asdict(attempt) for attempt in attempts]}
        if limits:
            body["constraints"] = limits
        if max_depth is not None:
            body["max_depth"] = max_depth
        answer = self._post(json.dumps(body, default=list).encode())
        try:
            step = json.loads(answer)
            return NextStep(
                action=step["action"],
                candidate=step["candidate"],
                quality=step["quality"],
                expected_gain=step["expected_gain"],
                expected_cost_usd=step["expected_cost_usd"],
                estimates=step["estimates"],
                reason=step["reason"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ScorerUnavailableError(f"{self.url} gave no step of a cascade") from error

    def _post(self, body: bytes) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        try:
            status, content = self._connections.post(_PATH, body, self._headers, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise ScorerUnavailableError(f"{self.url} does not answer: {error}") from error
        finally:
            if not self._keeps:
                self._connections.close()
        if status == 200:
            return content
        kind = InvalidRequestError if 400 <= status < 500 else ScorerUnavailableError
        raise kind(f"{self.url} answered {status}: {_detail(content)}")


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "no problem document"
