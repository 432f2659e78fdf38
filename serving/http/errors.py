"""Errors as RFC 9457 problem documents, and which status each class of ours has."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from router_ml.errors import (
    BundleError,
    ConfigError,
    DataError,
    ExportError,
    GateError,
    InvalidRequestError,
    LeaseError,
    NoCandidateError,
    OverBudgetError,
    RegistryError,
    RouterError,
    ScorerUnavailableError,
)
from serving.schemas import Problem

MEDIA_TYPE: Final = "application/problem+json"
MAX_DETAIL: Final = 500
"""Characters: names that a caller made up may be as long as a body."""

STATUS: Final[Mapping[type[RouterError], int]] = {
    InvalidRequestError: 422,
    NoCandidateError: 409,
    OverBudgetError: 429,
    ScorerUnavailableError: 503,
    RegistryError: 503,
    BundleError: 503,
    ConfigError: 500,
    DataError: 500,
    ExportError: 500,
    GateError: 500,
    LeaseError: 500,
}
"""The nearest base class decides. Only a caller's own mistakes are told to the caller in full."""

_PUBLIC: Final[Mapping[int, str]] = {
    503: "no router can score now; see /readyz, and try again",
    500: "the service failed; its log says how",
}
_encode: Final = msgspec.json.Encoder().encode


class HttpError(Exception):
    """A refusal that HTTP itself knows: ``detail`` is public and quotes nothing of the body."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class OverloadError(HttpError):
    """503: the request is shed, and may be sent again.

    Parameters
    ----------
    cause : stands in metrics, such as ``deadline``
    detail : public
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(503, detail, headers={"retry-after": "1"})
        self.cause = cause


def status_of(error: RouterError) -> int:
    """HTTP status of an error, by the nearest class in ``STATUS``."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def problem_of(error: Exception) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and further headers that answer an error."""
    if isinstance(error, HttpError):
        return error.status, problem(error.status, error.detail), error.headers
    status = status_of(error) if isinstance(error, RouterError) else 500
    detail = str(error) if isinstance(error, InvalidRequestError) else _PUBLIC[status]
    headers = {"retry-after": "1"} if status == 503 else {}
    return status, problem(status, detail), headers


def problem(status: int, detail: str) -> bytes:
    """A problem document; a long detail loses its middle.

    Examples
    --------
    >>> problem(404, "?").decode()
    '{"type":"urn:router-ml:problem:not-found","title":"Not Found","status":404,"detail":"?"}'
    """
    title = HTTPStatus(status).phrase
    slug = title.lower().replace(" ", "-")
    if len(detail) > MAX_DETAIL:
        half = MAX_DETAIL // 2 - 2
        detail = f"{detail[:half]} … {detail[-half:]}"
    return _encode(Problem(f"urn:router-ml:problem:{slug}", title, status, detail))


def raw_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP response that ends its connection, for what never reaches an endpoint."""
    body = problem(status, detail)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
