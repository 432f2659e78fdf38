"""The ASGI side of an endpoint: keys, limits, errors and counts around one function.

Hot paths are plain ASGI rather than FastAPI functions with pydantic bodies: the same checks cost a
few microseconds instead of a few hundred.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from router_ml.errors import RouterError
from serving import keys
from serving.http.access import Access
from serving.http.call import Call
from serving.http.errors import MEDIA_TYPE, HttpError, OverloadError, problem_of
from serving.reasons import full_reason
from serving.telemetry import Telemetry

_LOG: Final = logging.getLogger(__name__)
_DRAIN: Final = 16
"""A body up to so many times the limit is read and thrown away, so that the client, still sending,
gets to read the refusal; beyond it the connection is closed."""
_JSON: Final = b"application/json"
_MAX_DEADLINE_MS: Final = 600_000.0
ARRIVED: Final = "router.arrived"
"""Key of a scope: when its last byte came, as ``time.perf_counter`` has it."""

Handler = Callable[[Call], Awaitable[bytes]]


class Disconnected(Exception):  # noqa: N818 - not an error: there is nobody to tell
    """The client went away before its body was complete."""


@dataclass(slots=True)
class Buffered:
    """Bytes of bodies that are being received, over all connections."""

    limit: int
    held: int = 0

    def take(self, n: int) -> None:
        """Make room for n more; OverloadError when there is none."""
        if self.held + n > self.limit:
            raise OverloadError("buffer", "too many bodies are being received; try again")
        self.held += n


class Endpoint:
    """An ASGI application: body in, answer out.

    Parameters
    ----------
    name : stands in metrics
    handler : from the call to the bytes of the answer; its errors become problem documents
    telemetry : counts every answer
    access : checks key and ``Host``
    scopes : one of which the key must have; none = open to all
    max_body_bytes : longer bodies get 413; 0 = the body is not read
    buffered : shared by all endpoints
    status, media_type : of a good answer
    """

    def __init__(
        self,
        *,
        name: str,
        handler: Handler,
        telemetry: Telemetry,
        access: Access | None = None,
        scopes: tuple[keys.Scope, ...] = (),
        max_body_bytes: int = 0,
        buffered: Buffered | None = None,
        status: int = 200,
        media_type: str = _JSON.decode(),
    ) -> None:
        self.name = name
        self.handler = handler
        self.telemetry = telemetry
        self.access = access or Access()
        self.scopes = scopes
        self.max_body_bytes = max_body_bytes
        self.buffered = buffered or Buffered(limit=max(64_000_000, max_body_bytes))
        self.status = status
        self.media_type = media_type.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        status, kind = self.status, self.media_type
        extra: dict[str, str] = {}
        try:
            payload = await self.handler(await self._call(scope, receive))
        except (HttpError, RouterError) as error:
            status, payload, extra = problem_of(error)
            kind = MEDIA_TYPE.encode()
            if isinstance(error, OverloadError):
                self.telemetry.shed[self.name, error.cause] += 1
            elif status >= 500:
                _LOG.error("%s: %s", self.name, full_reason(error))
        except Disconnected:
            self.telemetry.shed[self.name, "disconnected"] += 1
            return
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(payload))]
        headers += [(key.encode(), value.encode()) for key, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})
        self.telemetry.observe(self.name, status, time.perf_counter() - started)

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        host = authorization = content_type = encoding = deadline = None
        trace = b""
        length = 0
        for name, value in scope["headers"]:
            if name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"host":
                host = value
            elif name == b"authorization":
                authorization = value
            elif name == b"content-encoding":
                encoding = value
            elif name == b"x-deadline-ms":
                deadline = _deadline(value)
            elif name == b"traceparent":
                trace = value
        self.access.check_host(host)
        key = self.access.authorise(authorization, self.scopes) if self.scopes else None
        if not self.max_body_bytes:
            return Call(key=key)
        self._check_media(content_type, encoding)
        body = await self._body(length, receive)
        now = time.perf_counter()
        arrived = scope.get(ARRIVED, now)
        return Call(body, key, now - arrived, deadline, arrived, trace)

    def _check_media(self, content_type: bytes | None, encoding: bytes | None) -> None:
        if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
            raise HttpError(
                415,
                "expected the body as it is, without Content-Encoding",
                headers={"accept-encoding": "identity"},
            )
        if content_type == _JSON or (content_type is None and self.access.required):
            return
        if content_type is None or not _is_json(content_type):
            raise HttpError(415, "expected Content-Type: application/json, in UTF-8")

    async def _body(self, length: int, receive: Receive) -> bytes:
        if length > _DRAIN * self.max_body_bytes:
            raise self._too_long({"connection": "close"})
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive)
        elif message["type"] == "http.disconnect":
            raise Disconnected
        if len(body) > self.max_body_bytes:
            raise self._too_long()
        return body

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        """All of a body that came in pieces; what is beyond the limit is read but not kept."""
        chunks, size, more, taken = [first], len(first), True, 0
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size <= self.max_body_bytes:
                    self.buffered.take(len(chunk))
                    taken += len(chunk)
                    chunks.append(chunk)
                elif size > _DRAIN * self.max_body_bytes:
                    raise self._too_long({"connection": "close"})
                else:
                    chunks.clear()
        finally:
            self.buffered.held -= taken
        if size > self.max_body_bytes:
            raise self._too_long()
        return b"".join(chunks)

    def _too_long(self, headers: dict[str, str] | None = None) -> HttpError:
        return HttpError(
            413, f"expected a body of at most {self.max_body_bytes} bytes", headers=headers
        )


def _is_json(content_type: bytes) -> bool:
    media, _, parameters = content_type.partition(b";")
    media = media.strip().lower()
    if media != _JSON and not (media.startswith(b"application/") and media.endswith(b"+json")):
        return False
    for parameter in parameters.lower().split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8", b"us-ascii"):
            return False
    return True


def _deadline(value: bytes) -> float:
    try:
        deadline = float(value)
    except ValueError:
        deadline = 0.0
    if not 0.0 < deadline <= _MAX_DEADLINE_MS:
        raise HttpError(
            400, f"expected X-Deadline-Ms in milliseconds, above 0 and at most {_MAX_DEADLINE_MS:g}"
        )
    return deadline
