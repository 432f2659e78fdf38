"""Bodies of the HTTP interface; msgspec checks and writes them, and OpenAPI is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from router_ml.runtime.explanation import Explanation
from router_ml.types.decisions import RankedCandidate, Removal

Name = Annotated[str, Meta(min_length=1, max_length=256)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Tokens = Annotated[int, Meta(ge=0, le=100_000_000)]


class Limits(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Limits of one request.

    ``candidates`` is an allow-list; ``min_quality`` asks for the cheapest candidate that reaches
    it; ``cost_weight`` is quality per US dollar and replaces the router's policy; ``requires``
    names capabilities, such as ``vision``, ``json_schema``, ``region:eu`` or ``retention:none``.
    """

    candidates: list[Name] | None = None
    max_cost_usd: AtLeastZero | None = None
    max_latency_ms: AtLeastZero | None = None
    max_ttft_ms: AtLeastZero | None = None
    min_quality: Annotated[float, Meta(ge=0, le=1)] | None = None
    cost_weight: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    requires: Annotated[list[Name], Meta(max_length=32)] | None = None


class ResponseFormat(Struct, kw_only=True, gc=False):
    """Shape of the answer; the schema itself does not matter here."""

    type: Literal["text", "json_object", "json_schema"]


class Session(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """The conversation that a request belongs to, so that a switch costs what it costs.

    ``previous_candidate`` answered the turn before and its provider has ``cached_tokens`` of this
    prompt in its cache; the service remembers both of an ``id`` where they are not given.
    """

    id: Name | None = None
    previous_candidate: Name | None = None
    cached_tokens: Tokens | None = None


class RouteRequest(Limits, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What to route: ``query`` or ``messages``, and limits at the top or in ``constraints``.

    ``tools`` is a tool or a list of tools; :class:`serving.tool_cache.ToolCache` reads it.
    ``response_format`` and ``reasoning_effort`` are as in a chat request: they need a candidate
    that can do it. ``session_id`` is short for ``session.id``. ``tenant`` is on whose behalf the
    request is made; a key must be allowed to say so. ``router`` names one of the service's routers;
    ``explain`` asks for the reasons, which take some milliseconds more.
    """

    query: str | None = None
    messages: list[Any] | None = None
    tools: Annotated[Raw, Meta(extra_json_schema={"type": ["array", "object", "null"]})] = field(
        default_factory=Raw
    )
    constraints: Limits | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Name | None = None
    request_id: Name | None = None
    session_id: Name | None = None
    session: Session | None = None
    tenant: Name | None = None
    tags: dict[str, str] | list[str] | None = None
    router: Name | None = None
    explain: bool = False


class BatchRequest(Struct, forbid_unknown_fields=True):
    """Several requests; one that is wrong refuses them all, and says which."""

    requests: Annotated[list[RouteRequest], Meta(min_length=1)]


class RouterName(Struct, frozen=True):
    """The router that decided."""

    name: str
    version: str


class RouteResponse(Struct, gc=False):
    """The decision; ``propensity`` is the probability with which ``candidate`` was drawn.

    ``removed`` are the candidates that are not in ``ranking``, each with its reason; ``unchecked``
    is what the request needs and no candidate of the catalogue declares. ``fallbacks`` are the
    candidates to ask when ``candidate`` fails, in that order: the best of every other provider
    first. ``rules`` are those that semantic routes and guards found, by name.
    """

    decision_id: str
    candidate: str
    ranking: tuple[RankedCandidate, ...]
    propensity: float
    policy: str
    router: RouterName
    reason: str
    request_id: str | None = None
    removed: tuple[Removal, ...] = ()
    unchecked: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    explanation: Explanation | UnsetType = UNSET


class BatchResponse(Struct):
    """Decisions in the order of the requests."""

    decisions: list[RouteResponse]


class FeedbackRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """What became of a decision. One ``(decision_id, name)`` holds one quality, the latest."""

    decision_id: Annotated[str, Meta(min_length=1, max_length=64)]
    quality: Annotated[float, Meta(ge=0, le=1)] | None = None
    name: Name = "quality"
    source: Name = "user"
    candidate_served: Name | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cost_usd: Annotated[float, Meta(ge=0)] | None = None
    latency_ms: Annotated[float, Meta(ge=0)] | None = None
    ttft_ms: Annotated[float, Meta(ge=0)] | None = None
    status: Name | None = None
    error_class: Name | None = None
    answer: str | None = None


class FeedbackResponse(Struct):
    """``recorded``: a row is written; ``unchanged``: the same feedback was there already."""

    decision_id: str
    name: str
    status: Literal["recorded", "unchanged"]


class HealthEvent(Struct, forbid_unknown_fields=True, kw_only=True):
    """How one call of a candidate went, without a decision.

    ``status`` is ``success`` or ``failure``; ``error_class`` an exception's class or an HTTP
    status, by which failures that are the caller's fault are told apart.
    """

    candidate: Name
    status: Name | None = None
    error_class: Name | None = None
    latency_ms: Annotated[float, Meta(ge=0)] | None = None
    ttft_ms: Annotated[float, Meta(ge=0)] | None = None


class HealthAnswer(Struct):
    """What the service makes of it: ``outcome``, and the state of the candidate's breaker."""

    candidate: str
    outcome: Literal["success", "failure", "client_error"] | None
    breaker: Literal["closed", "open", "half-open"]


class CandidateInfo(Struct):
    """A candidate and its price in force."""

    name: str
    provider: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None
    cache_write_usd_per_mtok: float | None
    context_window: int
    max_output_tokens: int
    capabilities: list[str]


class RouterInfo(Struct):
    """The loaded router; ``cascade`` is its cascade policy, null where it has none."""

    name: str
    version: str
    bundle_id: str
    format_version: int
    created: str
    loaded: str
    source: str
    policy: dict[str, Any]
    cascade: dict[str, Any] | None
    override_digest: str
    candidates: list[CandidateInfo]
    calibration: dict[str, Any]
    training: dict[str, Any]


class Readiness(Struct):
    """``degraded``: decisions go on, and ``reasons`` say what does not.

    ``reload_error`` says why a newer version is not in service; the former one still is.
    """

    status: Literal["ready", "degraded"]
    router: RouterName
    source: str
    reload_error: str | None = None
    reasons: list[str] = field(default_factory=list)


class Problem(Struct, omit_defaults=True):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
