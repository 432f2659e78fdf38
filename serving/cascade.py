"""``POST /v1/cascade/next``: query and answers so far in, accept or escalate out."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from router_ml.cascade.runtime.cascade import Attempt, CascadeRuntime
from serving.requests import read_ask
from serving.schemas import Name, RouteRequest
from serving.tool_cache import ToolCache

MAX_ANSWERS: Final = 32


class CascadeAnswer(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One candidate's turn; ``text`` is null when it failed or timed out."""

    candidate: Name
    text: str | None = None
    cost_usd: Annotated[float, Meta(ge=0)] = 0.0
    latency_ms: Annotated[float, Meta(ge=0)] = 0.0
    finish_reason: Annotated[str, Meta(max_length=64)] = ""


class CascadeRequest(RouteRequest, forbid_unknown_fields=True, kw_only=True, gc=False):
    """As a route request, with the turns so far; limits hold for the whole cascade."""

    answers: Annotated[tuple[CascadeAnswer, ...], Meta(max_length=MAX_ANSWERS)] = ()
    max_depth: Annotated[int, Meta(ge=1, le=MAX_ANSWERS)] | None = None


class CascadeResponse(Struct, gc=False):
    """``accept``: whose answer, and its estimated quality. ``escalate``: whom to ask.

    When escalating, ``quality`` is that of the best answer so far, 0 without any.
    """

    action: Literal["accept", "escalate"]
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: dict[str, float]
    reason: str
    decision_id: str
    request_id: str | None = None


def next_step(
    cascade: CascadeRuntime, request: CascadeRequest, tools: ToolCache, decision_id: str
) -> CascadeResponse:
    """Answer one request.

    Raises
    ------
    InvalidRequestError
        If the request contradicts itself or the router.
    ScorerUnavailableError
        If a graph fails.
    """
    ask = read_ask(request, tools)
    attempts = [
        Attempt(a.candidate, a.text, a.cost_usd, a.latency_ms, a.finish_reason)
        for a in request.answers
    ]
    step = cascade.next(ask.query, attempts, ask.limits, max_depth=request.max_depth)
    return CascadeResponse(
        action=step.action,
        candidate=step.candidate,
        quality=step.quality,
        expected_gain=step.expected_gain,
        expected_cost_usd=step.expected_cost_usd,
        estimates=dict(step.estimates),
        reason=step.reason,
        decision_id=decision_id,
        request_id=request.request_id,
    )
