"""``POST /v1/cascade/next``: query and answers so far in, accept or escalate out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.cascade.runtime.next_step import NextStep
from router_ml.types.answers import tool_calls
from serving.requests import Ask
from serving.schemas import Name, RouteRequest

MAX_ANSWERS: Final = 32
MAX_CALLS: Final = 256


class CascadeAnswer(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One candidate's turn; it failed or timed out where there is neither text nor a call.

    ``text`` is the message's ``content``; ``tool_calls`` and the older ``function_call`` are the
    message's own.
    """

    candidate: Name
    text: str | None = None
    tool_calls: Annotated[list[dict[str, Any]], Meta(max_length=MAX_CALLS)] | None = None
    function_call: dict[str, Any] | None = None
    cost_usd: Annotated[float, Meta(ge=0)] = 0.0
    latency_ms: Annotated[float, Meta(ge=0)] = 0.0
    finish_reason: Annotated[str, Meta(max_length=64)] = ""


class CascadeRequest(RouteRequest, forbid_unknown_fields=True, kw_only=True, gc=False):
    """As a route request, with the turns so far; limits hold for the whole cascade."""

    answers: Annotated[tuple[CascadeAnswer, ...], Meta(max_length=MAX_ANSWERS)] = ()
    max_depth: Annotated[int, Meta(ge=1, le=MAX_ANSWERS)] | None = None


class CascadeResponse(Struct, gc=False):
    """``accept``: whose answer, and its estimated quality. ``escalate``: whom to ask.

    When escalating, ``quality`` is that of the best answer so far, 0 without any. ``policy`` is the
    router's where it chose whom to ask, with the ``propensity`` of that choice; else the cascade's,
    which draws nothing.
    """

    action: Literal["accept", "escalate"]
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: dict[str, float]
    reason: str
    decision_id: str
    policy: str = ""
    propensity: float = 1.0
    request_id: str | None = None


def next_step(cascade: CascadeRuntime, request: CascadeRequest, ask: Ask) -> NextStep:
    """Decide one step.

    Raises
    ------
    InvalidRequestError
        If the request contradicts itself or the router.
    ScorerUnavailableError
        If a graph fails.
    """
    attempts = [
        Attempt(
            candidate=a.candidate,
            text=a.text,
            cost_usd=a.cost_usd,
            latency_ms=a.latency_ms,
            finish_reason=a.finish_reason,
            tool_calls=tool_calls(a.tool_calls, a.function_call),
        )
        for a in request.answers
    ]
    return cascade.next(ask.query, attempts, ask.limits, max_depth=request.max_depth)


def to_response(
    step: NextStep, cascade: CascadeRuntime, request: CascadeRequest, decision_id: str
) -> CascadeResponse:
    """The step as the service answers it."""
    decision = step.decision
    policy = cascade.policy if cascade.policy is not None else cascade.runtime.policy
    return CascadeResponse(
        action=step.action,
        candidate=step.candidate,
        quality=step.quality,
        expected_gain=step.expected_gain,
        expected_cost_usd=step.expected_cost_usd,
        estimates=dict(step.estimates),
        reason=step.reason,
        decision_id=decision_id,
        policy=policy.name if decision is None else decision.policy,
        propensity=1.0 if decision is None else decision.propensity,
        request_id=request.request_id,
    )
