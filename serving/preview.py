"""What would be decided, and why: explanations, and decisions under other prices or policies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from router_ml.bundle.files import prices_to_dict
from router_ml.errors import ConfigError, InvalidRequestError, NoCandidateError
from router_ml.runtime.explanation import Explanation, explained
from router_ml.runtime.runtime import Runtime
from router_ml.types.decisions import Decision, RankedCandidate, Removal
from serving.control.control import Control
from serving.http.bodies import read_json
from serving.http.call import Call
from serving.http.errors import OverloadError
from serving.loading.loader import Router
from serving.requests import Ask
from serving.schemas import Name, RouteRequest, RouterName

T = TypeVar("T")
_WAITING: Final = 16
"""Previews and explanations that may wait while one is made."""
Dollars = Annotated[float, Meta(ge=0, le=1e9)]
Weight = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Price(Struct, forbid_unknown_fields=True, kw_only=True):
    """US dollars per million tokens."""

    input_usd_per_mtok: Dollars
    output_usd_per_mtok: Dollars
    cached_input_usd_per_mtok: Dollars | None = None
    cache_write_usd_per_mtok: Dollars | None = None


class CostAware(Struct, tag="cost_aware", tag_field="name", forbid_unknown_fields=True):
    """Highest utility."""

    cost_weight: Weight = 0.0
    latency_weight: Weight = 0.0


class QualityFloor(Struct, tag="quality_floor", tag_field="name", forbid_unknown_fields=True):
    """The cheapest whose predicted quality reaches a floor."""

    min_quality: Share


class Constant(Struct, tag="constant", tag_field="name", forbid_unknown_fields=True):
    """One candidate."""

    candidate: Name


class EpsilonGreedy(Struct, tag="epsilon_greedy", tag_field="name", forbid_unknown_fields=True):
    """Highest utility, and any other with some probability."""

    epsilon: Share = 0.05
    cost_weight: Weight = 0.0


class PreviewRequest(RouteRequest, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A route request with what should be otherwise.

    ``prices`` replaces those of the candidates that it names, ``policy`` the router's, ``without``
    rules candidates out.
    """

    prices: dict[str, Price] | None = None
    policy: CostAware | QualityFloor | Constant | EpsilonGreedy | None = None
    without: list[Name] | None = None


class PreviewResponse(Struct):
    """What would be decided; nothing is logged. ``candidate_now`` is chosen as things are."""

    candidate: str
    candidate_now: str | None
    ranking: tuple[RankedCandidate, ...]
    action_probs: dict[str, float]
    policy: str
    router: RouterName
    reason: str
    removed: tuple[Removal, ...]
    unchecked: tuple[str, ...]
    explanation: Explanation | None = None


class Previews:
    """Previews and explanations, in a thread and one at a time, so that decisions go on.

    Parameters
    ----------
    control : what the service knows
    read_ask : from a route request and its call to what is scored, screened
    router : by the name that a request gives
    """

    def __init__(
        self,
        *,
        control: Control,
        read_ask: Callable[[RouteRequest, Call], Awaitable[Ask]],
        router: Callable[[str | None], Router],
    ) -> None:
        self.control = control
        self._read_ask = read_ask
        self._router = router
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(PreviewRequest).decode
        self._one = asyncio.Semaphore(1)
        self._waiting = 0

    async def preview(self, call: Call) -> bytes:
        """``POST /v1/route/preview``."""
        request = read_json(self._decode, call.body)
        router = self._router(request.router)
        ask = await self._read_ask(request, call)
        if self.control.looks(router):
            ask = await self.control.begin(router, ask)
        if self.control.concerns(ask):
            ask = self.control.look_ahead(ask)
        return self._encode(await self._in_turn(partial(_preview, router, ask, request)))

    async def explain(self, router: Router, ask: Ask, decision: Decision) -> Explanation:
        """Why a decision is as it is.

        Raises
        ------
        OverloadError
            If too many wait.
        """
        runtime = router.runtime
        return await self._in_turn(partial(explained, runtime, ask.query, ask.limits, decision))

    async def _in_turn(self, what: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise OverloadError("queue", "too many explanations wait; try again")
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(what)
        finally:
            self._waiting -= 1


def _preview(router: Router, ask: Ask, request: PreviewRequest) -> PreviewResponse:
    runtime, limits = router.runtime, ask.limits
    predictions = runtime.predict_one(ask.query)
    try:
        now = runtime.choose(predictions, limits).candidate
    except InvalidRequestError:  # as things are, nobody may answer
        now = None
    other = _overridden(runtime, request)
    if request.without:
        left = _left(limits.candidates or runtime.candidates.names, request.without, runtime)
        limits = replace(limits, candidates=left)
    try:
        decision = other.choose(predictions, limits)
    except ConfigError as error:  # the policy names what the router lacks
        raise InvalidRequestError(str(error)) from error
    why = explained(other, ask.query, limits, decision) if request.explain else None
    return PreviewResponse(
        candidate=decision.candidate,
        candidate_now=now,
        ranking=decision.ranking,
        action_probs=dict(zip(other.candidates.names, decision.action_probs, strict=True)),
        policy=decision.policy,
        router=router.name,
        reason=decision.reason,
        removed=decision.removed,
        unchecked=decision.unchecked,
        explanation=why,
    )


def _overridden(runtime: Runtime, request: PreviewRequest) -> Runtime:
    if request.prices is None and request.policy is None:
        return runtime
    _check_names(request.prices or {}, runtime, "prices")
    prices: dict[str, dict[str, float]] | None = None
    if request.prices is not None:
        prices = prices_to_dict(runtime.candidates)
        for name, price in request.prices.items():
            given = msgspec.structs.asdict(price)
            prices[name] = {key: value for key, value in given.items() if value is not None}
    policy = None if request.policy is None else msgspec.to_builtins(request.policy)
    try:
        return runtime.overridden(policy=policy, prices=prices)
    except ConfigError as error:
        raise InvalidRequestError(f"the override is wrong: {error}") from error


def _left(names: tuple[str, ...], without: list[str], runtime: Runtime) -> tuple[str, ...]:
    _check_names(dict.fromkeys(without), runtime, "without")
    left = tuple(name for name in names if name not in without)
    if not left:
        raise NoCandidateError("without leaves no candidate")
    return left


def _check_names(given: Mapping[str, object], runtime: Runtime, what: str) -> None:
    known = runtime.candidates.names
    if unknown := sorted(set(given) - set(known)):
        raise InvalidRequestError(
            f"unknown candidates {unknown} in {what}; the router knows {list(known)}"
        )
