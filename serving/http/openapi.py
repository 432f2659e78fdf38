"""OpenAPI: the schemas of msgspec structs, so that ``/docs`` shows what is really checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from serving import cascade, preview, schemas
from serving.decisions import schemas as decisions
from serving.http.errors import MEDIA_TYPE
from serving.http.refined import refine

_REF: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What the documentation says about one path."""

    path: str
    method: str
    summary: str
    body: type | None
    answer: type
    problems: tuple[int, ...]
    status: int = 200


_POST: Final = (400, 401, 403, 408, 409, 413, 415, 421, 422, 429, 431, 503)
_GET: Final = (401, 403, 421, 503)

OPERATIONS: Final = (
    Operation(
        "/v1/route", "post", "Choose a candidate for one request",
        schemas.RouteRequest, schemas.RouteResponse, _POST,
    ),
    Operation(
        "/v1/route/batch", "post", "Choose a candidate for each of several requests",
        schemas.BatchRequest, schemas.BatchResponse, _POST,
    ),
    Operation(
        "/v1/route/preview", "post", "What would be decided otherwise, without a row in the log",
        preview.PreviewRequest, preview.PreviewResponse, _POST,
    ),
    Operation(
        "/v1/feedback", "post", "Say what became of a decision",
        schemas.FeedbackRequest, schemas.FeedbackResponse, _POST, 202,
    ),
    Operation(
        "/v1/health-events", "post", "Say how a call of a candidate went",
        schemas.HealthEvent, schemas.HealthAnswer, _POST, 202,
    ),
    Operation(
        "/v1/cascade/next", "post", "Accept an answer, or ask whom next",
        cascade.CascadeRequest, cascade.CascadeResponse, _POST,
    ),
    Operation(
        "/v1/decisions", "post", "Answer questions about an input (OpenAI Decisions)",
        decisions.DecisionRequest, decisions.DecisionResponse, _POST,
    ),
    Operation(
        "/v1/systemone", "post", "Answer questions about a state (System One)",
        decisions.SystemOneRequest, decisions.SystemOneResponse, _POST,
    ),
    Operation(
        "/v1/router", "get", "The router in service", None, schemas.RouterInfo, _GET
    ),
    Operation(
        "/readyz", "get", "Whether a router is in service", None, schemas.Readiness, (421, 503)
    ),
)  # fmt: skip


def document(
    base: dict[str, Any],
    *,
    has_keys: bool = True,
    candidates: Sequence[str] = (),
    routers: Sequence[str] = (),
) -> dict[str, Any]:
    """Add the operations above to what FastAPI found.

    Parameters
    ----------
    has_keys : whether requests must bring a key
    candidates : of the router in service
    routers : names of further routers
    """
    types = {t for op in OPERATIONS for t in (op.body, op.answer) if t is not None}
    ordered = [*sorted(types, key=lambda t: t.__name__), schemas.Problem]
    references, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    schema_of = dict(zip(ordered, references, strict=True))
    refine(components, candidates, routers)
    base.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for op in OPERATIONS:
        answers: dict[str, Any] = {
            str(op.status): {
                "description": "Done",
                "content": {"application/json": {"schema": schema_of[op.answer]}},
            }
        }
        for status in op.problems:
            content = {MEDIA_TYPE: {"schema": schema_of[schemas.Problem]}}
            answers[str(status)] = {"description": "Problem document", "content": content}
        entry: dict[str, Any] = {"summary": op.summary, "responses": answers}
        if has_keys and op.path.startswith("/v1/"):
            entry["security"] = [{"bearer": []}]
        if op.body is not None:
            entry["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema_of[op.body]}},
            }
        base.setdefault("paths", {}).setdefault(op.path, {})[op.method] = entry
    if has_keys:
        base["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, summary, kind in (
        ("/healthz", "Whether the process answers", "application/json"),
        ("/metrics", "Prometheus metrics", "text/plain"),
    ):
        answer = {"description": "Done", "content": {kind: {"schema": {}}}}
        base["paths"][path] = {"get": {"summary": summary, "responses": {"200": answer}}}
    return base
