"""What the endpoints do: a call in, answer bytes out, and a row in the decision log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from router_ml.runtime.fallbacks import fallback_chain
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions
from serving.batching import Batcher
from serving.cascade import CascadeRequest, next_step, to_response
from serving.control.build import build_control, watch_budgets
from serving.control.decider import Decider
from serving.control.link import Event
from serving.decisions.endpoints import DecisionEndpoints
from serving.decisions.labels import read_aliases
from serving.description import describe
from serving.feedback import Feedback
from serving.health_events import HealthEvents
from serving.heartbeat import Heartbeat
from serving.http.access import Access
from serving.http.bodies import read_json
from serving.http.call import NO_CALL, Call
from serving.http.errors import HttpError, OverloadError
from serving.keys import read_keys
from serving.loading.loader import Loader, Router
from serving.log.decision_log import DecisionLog
from serving.log.ids import DecisionIds
from serving.log.recorder import Recorder
from serving.log.text import LoggedText
from serving.metrics.shared import FOLDER_VARIABLE, SharedMetrics
from serving.metrics.snapshot import Snapshot, snapshot
from serving.requests import Ask, read_ask
from serving.schemas import (
    BatchRequest,
    BatchResponse,
    FeedbackRequest,
    Readiness,
    RouteRequest,
    RouteResponse,
)
from serving.settings import Settings
from serving.telemetry import Telemetry
from serving.tool_cache import ToolCache
from serving.watched_file import WatchedFile

_BATCHES: Final = 16
"""Batches that may wait while one is scored."""


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
        self._recorder: Recorder | None = None
        self.access = Access(
            required=settings.has_keys, hosts=(settings.host, *settings.allowed_hosts)
        )
        self._text = LoggedText(settings.log_text)
        self.control = build_control(settings)
        self.feedback = Feedback(telemetry=telemetry, text=self._text, told=self._told)
        self.health_events = HealthEvents(control=self.control, router=self._router)
        self._files: list[WatchedFile] = []
        self._linking: asyncio.Task[None] | None = None
        folder = os.environ.get(FOLDER_VARIABLE)
        self.metrics = SharedMetrics(folder=Path(folder) if folder else None, take=self._snapshot)
        self._decider = Decider(control=self.control, answer=self._answer_bytes)
        self._batcher = Batcher(decide=self._decider.each, max_waiting=settings.max_waiting)
        self._batches = 0
        self._one_batch = asyncio.Semaphore(1)
        self._tools = ToolCache(max_tools=settings.max_tools)
        self._ids = DecisionIds()
        self._encode = msgspec.json.Encoder().encode
        self._route = msgspec.json.Decoder(RouteRequest).decode
        self._batch = msgspec.json.Decoder(BatchRequest).decode
        self._cascade = msgspec.json.Decoder(CascadeRequest).decode
        self.decisions = DecisionEndpoints(
            aliases=read_aliases(settings.aliases_file),
            router=self._router_for,
            read_ask=self._read_ask,
            choose=self._decider.choose,
            record=lambda router, ask, decision: self._answer(router, ask, decision).decision_id,
        )

    def start(self) -> None:
        """Read the keys, open the decision log and load the router."""
        settings = self.settings
        if settings.keys_file is not None:
            self._files.append(
                WatchedFile(
                    what="keys file",
                    path=settings.keys_file,
                    poll_interval_s=settings.poll_interval_s,
                    read=self._put_keys_in_force,
                )
            )
        else:
            self._put_keys_in_force()
        if (file := watch_budgets(settings, self.control.budgets)) is not None:
            self._files.append(file)
        for file in self._files:
            file.start()
        if settings.decision_log is not None:
            self.log = self.feedback.log = DecisionLog(
                folder=settings.decision_log,
                fsync=settings.log_fsync,
                flush_s=settings.log_flush_s,
                rotate_bytes=settings.log_rotate_bytes,
                queue_rows=settings.log_queue_rows,
                queue_bytes=settings.log_queue_bytes,
            )
            self._recorder = Recorder(log=self.log, arm=settings.arm, text=self._text)
        self.loader.start()
        self.metrics.start()
        if (link := self.control.link) is not None:
            link.told = self._told_by_others
            task = link.run(self.control.budgets, self.control.sessions)
            self._linking = asyncio.get_running_loop().create_task(task)

    async def close(self) -> None:
        """Stop following source and files, and hand in what is not written yet."""
        for file in self._files:
            file.close()
        self.loader.close()
        if self.control.link is not None and self._linking is not None:
            self._linking.cancel()
            await self.control.link.close(self.control.budgets, self.control.sessions)
        if self.log is not None:
            self.log.close(self.settings.shutdown_s)
        self.metrics.close()

    def hang_up(self) -> None:
        """SIGHUP: write what waits, go on in a new log file, read keys and budgets again."""
        if self.log is not None:
            self.log.reopen()
        for file in self._files:
            file.reread()

    def heartbeats(self) -> Iterator[Heartbeat]:
        """Of every loop that runs in the background."""
        yield self.loader.heartbeat
        if self.log is not None:
            yield self.log.heartbeat
        for file in self._files:
            yield file.heartbeat
        if self.control.link is not None:
            yield self.control.link.heartbeat

    async def route(self, call: Call) -> bytes:
        """``POST /v1/route``."""
        router = self._router()
        slow = router.runtime.is_slow
        default_ms = self.settings.slow_deadline_ms if slow else self.settings.deadline_ms
        wait_s = (call.deadline_ms or default_ms) / 1e3 - call.waited_s
        begun = time.perf_counter()
        ask = self._read_ask(read_json(self._route, call.body), call)
        if self.control.looks(router):
            ask = await self.control.begin(router, ask)
        read = time.perf_counter()
        firm = call.deadline_ms is not None
        answer = await self._batcher.decide(router, ask, wait_s=wait_s, firm=firm)
        self.telemetry.stage("wait", call.waited_s)
        self.telemetry.stage("read", read - begun)
        self.telemetry.stage("score", time.perf_counter() - read)
        return answer

    async def route_batch(self, call: Call) -> bytes:
        """``POST /v1/route/batch``; scored in a thread, one at a time, so that others go on."""
        router = self._router()
        wait_s = self._patience(call, self.settings.batch_deadline_ms)
        if self._batches > _BATCHES:
            raise OverloadError("queue", "too many batches wait; try again")
        requests = read_json(self._batch, call.body).requests
        if len(requests) > self.settings.max_batch:
            raise HttpError(
                422, f"expected at most {self.settings.max_batch} requests, got {len(requests)}"
            )
        self._batches += 1
        try:
            async with asyncio.timeout(wait_s) as patience, self._one_batch:
                patience.reschedule(None)
                answers = await self._decide_all(router, requests, call)
        except TimeoutError as error:
            raise OverloadError("deadline", "the batch waited too long; try again") from error
        finally:
            self._batches -= 1
        return self._encode(BatchResponse(answers))

    async def cascade_next(self, call: Call) -> bytes:
        """``POST /v1/cascade/next``."""
        router = self._router()
        self._patience(call, self.settings.slow_deadline_ms)
        request = read_json(self._cascade, call.body)
        ask = read_ask(request, self._tools, call=call)
        if self.control.looks(router):
            ask = await self.control.begin(router, ask)
        ask, step = self._cascade_step(router, request, ask)
        answer = to_response(step, router.cascade, request, self._ids.next())
        self.control.answered(answer.decision_id, ask, step.candidate)
        if self._recorder is not None:
            self._recorder.cascade(router, ask, request, step, answer)
        return self._encode(answer)

    async def router(self, call: Call = NO_CALL) -> bytes:
        """``GET /v1/router``."""
        return self._encode(describe(self._router()))

    async def ready(self, call: Call = NO_CALL) -> bytes:
        """``GET /readyz``; 503 before the first router."""
        loader = self.loader
        router = loader.current
        if router is None:
            raise HttpError(
                503,
                f"no router is in service yet: {loader.error or 'it is being fetched'}",
                headers={"retry-after": "1"},
            )
        reasons = self.problems()
        return self._encode(
            Readiness(
                status="degraded" if reasons else "ready",
                router=router.name,
                source=router.source,
                reload_error=loader.error,
                reasons=reasons,
            )
        )

    def problems(self) -> list[str]:
        """What does not work, in sentences for everybody, while decisions go on."""
        found = [text for beat in self.heartbeats() if (text := beat.problem) is not None]
        if self.loader.error is not None and self.loader.heartbeat.reason is None:
            found.append(f"router source: {self.loader.error}")
        if self.loader.from_cache:
            found.append("router source: the last good bundle is in service, unconfirmed")
        return found + self.control.health.problems()

    def _snapshot(self) -> Snapshot:
        return snapshot(self.telemetry, self.loader, self.log, self.heartbeats(), self.control)

    def _put_keys_in_force(self) -> None:
        self.access.keys = read_keys(self.settings.keys_file, self.settings.api_keys)

    def _told(self, given: FeedbackRequest, call: Call) -> None:
        if (router := self.loader.current) is not None:
            self.control.reported(given, call.key, router.runtime.candidates.names)

    def _told_by_others(self, event: Event) -> None:
        if (router := self.loader.current) is not None:
            self.control.told(event, router.runtime.candidates.names)

    def _patience(self, call: Call, default_ms: float) -> float:
        """Seconds that a call may still wait."""
        left_s = (call.deadline_ms or default_ms) / 1e3 - call.waited_s
        if left_s <= 0.0:
            raise OverloadError("deadline", "the request waited too long; try again")
        return left_s

    def _read_ask(self, request: RouteRequest, call: Call) -> Ask:
        return read_ask(request, self._tools, call=call, max_messages=self.settings.max_messages)

    def _router(self) -> Router:
        router = self.loader.current
        if router is None:
            raise ScorerUnavailableError("no router is loaded")
        return router

    def _router_for(self, call: Call) -> Router:
        """The router, for a call that has not waited too long."""
        self._patience(call, self.settings.slow_deadline_ms)
        return self._router()

    def _answer_bytes(self, router: Router, ask: Ask, decision: Decision) -> bytes:
        return self._encode(self._answer(router, ask, decision))

    def _answer(self, router: Router, ask: Ask, decision: Decision) -> RouteResponse:
        decision_id = self._ids.next()
        self.telemetry.decided(decision)
        self.control.answered(decision_id, ask, decision.candidate)
        request = ask.request
        # The longest part of the answer and of the row: written once.
        ranking: Any = msgspec.Raw(self._encode(decision.ranking))
        if self._recorder is not None:
            self._recorder.decision(decision_id, router, ask, decision, ranking)
        return RouteResponse(
            decision_id,
            decision.candidate,
            ranking,
            decision.propensity,
            decision.policy,
            router.name,
            decision.reason,
            request.request_id,
            decision.removed,
            decision.unchecked,
            fallback_chain(decision, router.runtime.provider_of),
        )

    def _cascade_step(
        self, router: Router, request: CascadeRequest, ask: Ask
    ) -> tuple[Ask, NextStep]:
        if not self.control.concerns(ask):
            return ask, next_step(router.cascade, request, ask)
        ask = self.control.prepare(ask)
        try:
            step = next_step(router.cascade, request, ask)
        except Exception as error:
            self.control.fails(ask, error)
            raise
        if step.action == "escalate":
            self.control.chosen(ask, step.candidate, step.expected_cost_usd, step.decision)
        return ask, step

    async def _decide_all(
        self, router: Router, requests: Sequence[RouteRequest], call: Call
    ) -> list[RouteResponse]:
        """All or none; reading and scoring take place in a thread, so that others go on."""
        part = Call(call.body[: len(call.body) // len(requests)], call.key)

        def read_and_predict() -> tuple[list[Ask], Predictions]:
            asks: list[Ask] = []
            try:
                asks.extend(self._read_ask(request, part) for request in requests)
            except InvalidRequestError as error:
                raise InvalidRequestError(f"requests[{len(asks)}]: {error}") from error
            return asks, router.runtime.predict([ask.query for ask in asks])

        asks, predictions = await asyncio.to_thread(read_and_predict)
        if self.control.looks(router):
            asks = [await self.control.begin(router, ask) for ask in asks]
        chosen = await self._decider.choose_all(router, asks, predictions)
        return [self._answer(router, ask, decision) for ask, decision in chosen]
