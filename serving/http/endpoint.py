"""The ASGI side of a JSON endpoint: keys, limits, errors and counts around one function.

Hot paths are plain ASGI rather than FastAPI functions with pydantic bodies: the same checks cost a
few microseconds instead of a few hundred.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from router_ml.errors import RouterError
from serving.http.errors import MEDIA_TYPE, HttpError, problem_of
from serving.telemetry import Telemetry

_LOG: Final = logging.getLogger(__name__)
_DRAIN: Final = 16
"""A body up to so many times the limit is read and thrown away, so that the client, still sending,
gets to read the refusal; beyond it the connection is closed."""

Handler = Callable[[bytes], Awaitable[bytes]]


class JsonEndpoint:
    """An ASGI application: body in, JSON out.

    Parameters
    ----------
    name : stands in metrics
    handler : from the body's bytes to those of the answer; its errors become problem documents
    telemetry : counts every answer
    api_keys : bearer keys, one of which a request must bring; none = open
    max_body_bytes : longer bodies get 413; 0 = the body is not read
    status : of a good answer
    """

    def __init__(
        self,
        *,
        name: str,
        handler: Handler,
        telemetry: Telemetry,
        api_keys: Sequence[str] = (),
        max_body_bytes: int = 0,
        status: int = 200,
    ) -> None:
        self.name = name
        self.handler = handler
        self.telemetry = telemetry
        self.max_body_bytes = max_body_bytes
        self.status = status
        self._keys = [f"Bearer {key}".encode() for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        status, kind = self.status, b"application/json"
        extra: dict[str, str] = {}
        try:
            if self._keys:
                self._authorise(scope)
            payload = await self.handler(
                await self._body(scope, receive) if self.max_body_bytes else b""
            )
        except (HttpError, RouterError) as error:
            status, payload, extra = problem_of(error)
            kind = MEDIA_TYPE.encode()
            if status >= 500:
                _LOG.error("%s: %s", self.name, error)
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(payload))]
        headers += [(key.encode(), value.encode()) for key, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})
        self.telemetry.observe(self.name, status, time.perf_counter() - started)

    def _authorise(self, scope: Scope) -> None:
        given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        # Every key is compared, each in constant time: the answer's time says nothing.
        if not sum(hmac.compare_digest(given, key) for key in self._keys):
            raise HttpError(
                401,
                "expected the header `Authorization: Bearer <key>` with a valid key",
                headers={"www-authenticate": "Bearer"},
            )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        length = 0
        for key, value in scope["headers"]:
            if key == b"content-type" and not _is_json(value):
                raise HttpError(415, "expected Content-Type: application/json")
            if key == b"content-length":
                length = int(value)
        if length > _DRAIN * self.max_body_bytes:
            raise self._too_long({"connection": "close"})
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive)
        if len(body) > self.max_body_bytes:
            raise self._too_long()
        return body

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        """All of a body that came in pieces; what is beyond the limit is read but not kept."""
        chunks, size, more = [first], len(first), True
        while more:
            message = await receive()
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= self.max_body_bytes:
                chunks.append(chunk)
            elif size > _DRAIN * self.max_body_bytes:
                raise self._too_long({"connection": "close"})
        if size > self.max_body_bytes:
            raise self._too_long()
        return b"".join(chunks)

    def _too_long(self, headers: dict[str, str] | None = None) -> HttpError:
        return HttpError(
            413, f"expected a body of at most {self.max_body_bytes} bytes", headers=headers
        )


def _is_json(content_type: bytes) -> bool:
    media = content_type.partition(b";")[0].strip().lower()
    return media == b"application/json" or (
        media.startswith(b"application/") and media.endswith(b"+json")
    )
