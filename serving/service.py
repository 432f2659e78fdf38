"""What the endpoints do: body bytes in, answer bytes out, and a row in the decision log."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from router_ml.bundle.files import prices_to_dict
from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from router_ml.types.decisions import Decision
from serving.batching import Batcher
from serving.cascade import CascadeRequest, CascadeResponse, next_step, to_response
from serving.http.bodies import read_json
from serving.http.errors import HttpError
from serving.loading.loader import Loader, Router
from serving.log.decision_log import CascadeRow, DecisionLog, DecisionRow, FeedbackRow
from serving.log.ids import DecisionIds
from serving.requests import Ask, read_ask
from serving.schemas import (
    BatchRequest,
    BatchResponse,
    CandidateInfo,
    FeedbackRequest,
    FeedbackResponse,
    Readiness,
    RouteRequest,
    RouteResponse,
    RouterInfo,
)
from serving.settings import Settings
from serving.telemetry import Telemetry
from serving.tool_cache import ToolCache

_REMEMBERED: Final = 100_000
"""Feedback whose repetition this process recognises; readers of the log recognise the rest."""

T = TypeVar("T")


class Service:
    """Endpoints of one process.

    Parameters
    ----------
    settings : as the environment gave them
    loader : holds the router in service
    telemetry : counts
    """

    def __init__(self, *, settings: Settings, loader: Loader, telemetry: Telemetry) -> None:
        self.settings = settings
        self.loader = loader
        self.telemetry = telemetry
        self.log: DecisionLog | None = None
        self._batcher = Batcher(answer=self._answer_bytes)
        self._tools = ToolCache()
        self._ids = DecisionIds()
        self._encode = msgspec.json.Encoder().encode
        self._route = msgspec.json.Decoder(RouteRequest).decode
        self._batch = msgspec.json.Decoder(BatchRequest).decode
        self._feedback = msgspec.json.Decoder(FeedbackRequest).decode
        self._cascade = msgspec.json.Decoder(CascadeRequest).decode
        self._seen: OrderedDict[tuple[str, str], FeedbackRequest] = OrderedDict()

    def start(self) -> None:
        """Load the router and open the decision log."""
        settings = self.settings
        if settings.decision_log is not None:
            self.log = DecisionLog(
                folder=settings.decision_log,
                fsync=settings.log_fsync,
                flush_s=settings.log_flush_s,
                rotate_bytes=settings.log_rotate_bytes,
                queue_rows=settings.log_queue_rows,
            )
        self.loader.start()

    def close(self) -> None:
        """Stop following the source and write what the log still holds."""
        self.loader.close()
        if self.log is not None:
            self.log.close()

    async def route(self, body: bytes) -> bytes:
        """``POST /v1/route``."""
        router = self._router()
        ask = read_ask(read_json(self._route, body), self._tools)
        return await self._batcher.decide(router, ask)

    async def route_batch(self, body: bytes) -> bytes:
        """``POST /v1/route/batch``; scored in a thread, so that single requests go on."""
        router = self._router()
        requests = read_json(self._batch, body).requests
        if len(requests) > self.settings.max_batch:
            raise HttpError(
                422, f"expected at most {self.settings.max_batch} requests, got {len(requests)}"
            )
        asks, decisions = await asyncio.to_thread(_decide_all, router, requests, self._tools)
        answers = [self._answer(router, a, d) for a, d in zip(asks, decisions, strict=True)]
        return self._encode(BatchResponse(answers))

    async def cascade_next(self, body: bytes) -> bytes:
        """``POST /v1/cascade/next``."""
        router = self._router()
        request = read_json(self._cascade, body)
        ask, step = next_step(router.cascade, request, self._tools)
        answer = to_response(step, router.cascade, request, self._ids.next())
        if self.log is not None:
            self.log.append(self._cascade_row(router, ask, request, step, answer))
        return self._encode(answer)

    async def feedback(self, body: bytes) -> bytes:
        """``POST /v1/feedback``; the row is written within ``log_flush_s``."""
        if self.log is None:
            raise HttpError(
                503, "this service keeps no decision log; set ROUTER_SERVE_DECISION_LOG"
            )
        given = read_json(self._feedback, body)
        key = (given.decision_id, given.name)
        unchanged = self._seen.get(key) == given
        if not unchanged:
            fields = msgspec.structs.asdict(given)
            if not self.log.append(FeedbackRow(time=_now(), **fields)):
                raise HttpError(
                    503, "the log's queue is full; try again", headers={"retry-after": "1"}
                )
            self._seen[key] = given
            self._seen.move_to_end(key)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        answer = FeedbackResponse(*key, "unchanged" if unchanged else "recorded")
        self.telemetry.feedback[answer.status] += 1
        return self._encode(answer)

    async def router(self, body: bytes) -> bytes:
        """``GET /v1/router``."""
        router = self._router()
        manifest, table = router.runtime.manifest, router.runtime.candidates
        cascade = router.cascade.policy
        prices = prices_to_dict(table)
        info = RouterInfo(
            name=router.name.name,
            version=router.name.version,
            bundle_id=manifest.bundle_id,
            format_version=manifest.format_version,
            created=manifest.created,
            loaded=router.loaded.isoformat(timespec="seconds"),
            source=router.source,
            policy=router.runtime.policy.to_dict(),
            cascade=None if cascade is None else cascade.to_dict(),
            override_digest=router.runtime.override_digest,
            candidates=[
                CandidateInfo(
                    name=name,
                    provider=table.provider[k],
                    input_usd_per_mtok=prices[name]["input_usd_per_mtok"],
                    output_usd_per_mtok=prices[name]["output_usd_per_mtok"],
                    context_window=int(table.context_window[k]),
                    max_output_tokens=int(table.max_output_tokens[k]),
                    capabilities=sorted(table.capabilities[k]),
                )
                for k, name in enumerate(table.names)
            ],
            calibration=dict(manifest.calibration),
            training=dict(manifest.training),
        )
        return self._encode(info)

    async def ready(self, body: bytes) -> bytes:
        """``GET /readyz``; 503 before the first router."""
        router = self.loader.current
        if router is None:
            reason = self.loader.error or "it is being fetched"
            raise HttpError(503, f"no router from {self.settings.bundle} yet: {reason}")
        return self._encode(Readiness("ready", router.name, router.source, self.loader.error))

    def _router(self) -> Router:
        router = self.loader.current
        if router is None:
            raise ScorerUnavailableError("no router is loaded")
        return router

    def _answer_bytes(self, router: Router, ask: Ask, decision: Decision) -> bytes:
        return self._encode(self._answer(router, ask, decision))

    def _answer(self, router: Router, ask: Ask, decision: Decision) -> RouteResponse:
        decision_id = self._ids.next()
        self.telemetry.decisions[decision.candidate] += 1
        request = ask.request
        # The longest part of the answer and of the row: written once.
        ranking: Any = msgspec.Raw(self._encode(decision.ranking))
        if self.log is not None:
            self.log.append(self._row(decision_id, router, ask, decision, ranking))
        return RouteResponse(
            decision_id,
            decision.candidate,
            ranking,
            decision.propensity,
            decision.policy,
            router.name,
            decision.reason,
            request.request_id,
        )

    def _row(
        self, decision_id: str, router: Router, ask: Ask, decision: Decision, ranking: Any
    ) -> DecisionRow:
        runtime, request, text = router.runtime, ask.request, self.settings.log_text
        return DecisionRow(
            decision_id=decision_id,
            time=_now(),
            request_id=request.request_id,
            session_id=request.session_id,
            tags=request.tags,
            arm=self.settings.arm,
            router=router.name.name,
            router_version=router.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
            policy=decision.policy,
            candidate=decision.candidate,
            propensity=decision.propensity,
            candidates=runtime.candidates.names,
            action_probs=decision.action_probs,
            ranking=ranking,
            query=request.query if text else None,
            messages=request.messages if text else None,
            tools=ask.tools if text else None,
        )

    def _cascade_row(
        self,
        router: Router,
        ask: Ask,
        request: CascadeRequest,
        step: NextStep,
        answer: CascadeResponse,
    ) -> CascadeRow:
        text = self.settings.log_text
        runtime, decision = router.runtime, step.decision
        answers = [msgspec.structs.asdict(turn) for turn in request.answers]
        if not text:
            for turn in answers:
                for said in ("text", "tool_calls", "function_call"):
                    del turn[said]
        return CascadeRow(
            decision_id=answer.decision_id,
            time=_now(),
            request_id=request.request_id,
            session_id=request.session_id,
            tags=request.tags,
            arm=self.settings.arm,
            router=router.name.name,
            router_version=router.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
            action=step.action,
            candidate=step.candidate,
            quality=step.quality,
            expected_gain=step.expected_gain,
            expected_cost_usd=step.expected_cost_usd,
            estimates=answer.estimates,
            answers=tuple(answers),
            policy=answer.policy,
            propensity=answer.propensity,
            candidates=runtime.candidates.names,
            action_probs=None if decision is None else decision.action_probs,
            query=request.query if text else None,
            messages=request.messages if text else None,
            tools=ask.tools if text else None,
        )


def _decide_all(
    router: Router, requests: Sequence[RouteRequest], tools: ToolCache
) -> tuple[list[Ask], list[Decision]]:
    asks: list[Ask] = []
    decisions: list[Decision] = []
    try:
        asks.extend(read_ask(request, tools) for request in requests)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"requests[{len(asks)}]: {error}") from error
    predictions = router.runtime.predict([ask.query for ask in asks])
    results = router.runtime.choose_each(predictions, [ask.limits for ask in asks])
    for position, result in enumerate(results):
        if not isinstance(result, Decision):
            raise InvalidRequestError(f"requests[{position}]: {result}") from result
        decisions.append(result)
    return asks, decisions


def _now() -> str:
    """UTC to the microsecond, without an offset, as in the canonical tables."""
    return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None).isoformat()
