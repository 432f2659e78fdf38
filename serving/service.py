"""What the endpoints do: a call in, answer bytes out, and a row in the decision log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import InvalidRequestError, ScorerUnavailableError
from router_ml.runtime.fallbacks import fallback_chain
from router_ml.types.decisions import Decision
from serving.batching import Batcher
from serving.cascade import CascadeRequest, next_step, to_response
from serving.clock import now
from serving.control.background import Background
from serving.control.build import build_control
from serving.control.decider import Decider
from serving.decisions.endpoints import DecisionEndpoints
from serving.decisions.labels import read_aliases
from serving.description import describe
from serving.experiment import Experiment, Made
from serving.feedback import Feedback
from serving.health_events import HealthEvents
from serving.heartbeat import Heartbeat
from serving.http.access import Access
from serving.http.bodies import read_json
from serving.http.call import NO_CALL, Call
from serving.http.errors import HttpError, OverloadError
from serving.keys import read_keys
from serving.loading.loader import Loader, Router
from serving.loading.routers import Routers
from serving.log.decision_log import DecisionLog
from serving.log.ids import DecisionIds
from serving.log.recorder import Recorder
from serving.log.text import LoggedText
from serving.metrics.shared import FOLDER_VARIABLE, SharedMetrics
from serving.metrics.snapshot import Snapshot, snapshot
from serving.preview import Previews
from serving.recording import DecisionRecording
from serving.requests import Ask, read_ask
from serving.route_batch import Batches
from serving.schemas import (
    FeedbackRequest,
    Readiness,
    RouteRequest,
    RouteResponse,
)
from serving.screening import NO_SCREENING, Screening
from serving.settings import Settings
from serving.spans import DecisionSpans
from serving.telemetry import Telemetry
from serving.tool_cache import ToolCache
from serving.watched_file import WatchedFile


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
        self._recording: DecisionRecording | None = None
        self.access = Access(
            required=settings.has_keys, hosts=(settings.host, *settings.allowed_hosts)
        )
        self._text = LoggedText(settings.log_text)
        self.routers = Routers(settings=settings, default=loader)
        self.control = build_control(settings, self.routers.candidates)
        self.experiment: Experiment | None = None
        self.feedback = Feedback(telemetry=telemetry, text=self._text, told=self._told)
        self.health_events = HealthEvents(self.control)
        self._key_file: WatchedFile | None = None
        self._background = Background(settings, self.control)
        file = settings.rules_file
        self._spans: DecisionSpans | None = None
        self._screening = NO_SCREENING if file is None else Screening.from_file(file)
        folder = os.environ.get(FOLDER_VARIABLE)
        self.metrics = SharedMetrics(folder=Path(folder) if folder else None, take=self._snapshot)
        self._decider = Decider(control=self.control, answer=self._answer_bytes)
        self._batcher = Batcher(decide=self._decider.each, max_waiting=settings.max_waiting)
        self.previews = Previews(
            control=self.control, read_ask=self._screened, router=self.routers.find
        )
        self.batches = Batches(
            settings=settings,
            read_ask=lambda request, call: self._screening.screened_now(
                self._read_ask(request, call)
            ),
            router=self.routers.find,
            decider=self._decider,
            answer=self._answer,
            patience=self._patience,
        )
        self._tools = ToolCache(max_tools=settings.max_tools)
        self._ids = DecisionIds()
        self._encode = msgspec.json.Encoder().encode
        self._route = msgspec.json.Decoder(RouteRequest).decode
        self._cascade = msgspec.json.Decoder(CascadeRequest).decode
        self.decisions = DecisionEndpoints(
            aliases=read_aliases(settings.aliases_file),
            router=self._router_for,
            read_ask=self._screened,
            choose=self._decider.choose,
            record=lambda router, ask, decision: self._answer(router, ask, decision).decision_id,
        )

    def start(self) -> None:
        """Read the keys, open the decision log and load the router."""
        settings = self.settings
        if settings.keys_file is not None:
            self._key_file = WatchedFile(
                what="keys file",
                path=settings.keys_file,
                poll_interval_s=settings.poll_interval_s,
                read=self._put_keys_in_force,
            )
            self._key_file.start()
        else:
            self._put_keys_in_force()
        self._background.start()
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
            self._recording = DecisionRecording(
                settings=settings, recorder=self._recorder, telemetry=self.telemetry
            )
            self.experiment = self._recording.experiment
            if self.experiment is not None:
                self.experiment.start()
        if settings.otlp_endpoint:
            self._spans = DecisionSpans(endpoint=settings.otlp_endpoint, text=self._text)
        self.routers.start()
        self.metrics.start()

    async def close(self) -> None:
        """Stop following source and files, and hand in what is not written yet."""
        if self._key_file is not None:
            self._key_file.close()
        self._screening.close()
        if self._spans is not None:
            self._spans.close(self.settings.shutdown_s)
        self.routers.close()
        if self.experiment is not None:
            self.experiment.close()
        await self._background.close()
        if self.log is not None:
            self.log.close(self.settings.shutdown_s)
        self.metrics.close()

    def hang_up(self) -> None:
        """SIGHUP: write what waits, go on in a new log file, read keys and budgets again."""
        if self.log is not None:
            self.log.reopen()
        if self._key_file is not None:
            self._key_file.reread()
        self._background.reread()

    def heartbeats(self) -> Iterator[Heartbeat]:
        """Of every loop that runs in the background."""
        yield from self.routers.heartbeats()
        if self.experiment is not None:
            yield self.experiment.loader.heartbeat
            yield self.experiment.heartbeat
        if self.log is not None:
            yield self.log.heartbeat
        if self._key_file is not None:
            yield self._key_file.heartbeat
        yield from self._background.heartbeats()

    async def route(self, call: Call) -> bytes:
        """``POST /v1/route``."""
        begun = time.perf_counter()
        request = read_json(self._route, call.body)
        router = self.routers.find(request.router)
        ask = self._read_ask(request, call)
        if self._screening is not NO_SCREENING:
            ask = await self._screening.screened(ask)
        if self.experiment is not None and request.router is None:
            ask = self.experiment.enrol(ask, router)
        if self.control.looks(router):
            ask = await self.control.begin(router, ask)
        read = time.perf_counter()
        answer = await (self._explained if request.explain else self._decided)(router, ask)
        self.telemetry.stage("wait", call.waited_s)
        self.telemetry.stage("read", read - begun)
        self.telemetry.stage("score", time.perf_counter() - read)
        return answer

    async def _decided(self, router: Router, ask: Ask) -> bytes:
        """Decide together with whoever asks now; a challenger that cannot leaves it to the rest."""
        if ask.trial is not None and ask.trial.is_challenger:
            try:
                return await self._in_batch(ask.trial.challenger, ask)
            except (InvalidRequestError, ScorerUnavailableError):
                self.telemetry.experiment["fell_back"] += 1
        return await self._in_batch(router, ask)

    def _in_batch(self, router: Router, ask: Ask) -> asyncio.Future[bytes]:
        call, slow = ask.call, router.runtime.is_slow
        default_ms = self.settings.slow_deadline_ms if slow else self.settings.deadline_ms
        wait_s = (call.deadline_ms or default_ms) / 1e3 - call.waited_s
        firm = call.deadline_ms is not None
        return self._batcher.decide(router, ask, wait_s=wait_s, firm=firm)

    async def _explained(self, router: Router, ask: Ask) -> bytes:
        """Decide and say why; what is explained is the router that the unit belongs to."""
        if ask.trial is not None:
            router = ask.trial.router
        ask, decision = self._decider.choose(router, ask, router.runtime.predict_one(ask.query))
        answer = self._answer(router, ask, decision)
        answer.explanation = await self.previews.explain(router, ask, decision)
        return self._encode(answer)

    async def cascade_next(self, call: Call) -> bytes:
        """``POST /v1/cascade/next``."""
        self._patience(call, self.settings.slow_deadline_ms)
        request = read_json(self._cascade, call.body)
        if request.explain:
            raise InvalidRequestError("explain is for /v1/route, its batch and its preview")
        router = self.routers.find(request.router)
        ask = await self._screened(request, call)
        if self.control.looks(router):
            ask = await self.control.begin(router, ask)
        ask, step = self._cascade_step(router, request, ask)
        answer = to_response(step, router.cascade, request, self._ids.next())
        self.control.answered(answer.decision_id, ask, step.candidate)
        if self._recorder is not None:
            self._recorder.cascade(router, ask, request, step, answer)
        if self._spans is not None:
            asked = [turn.candidate for turn in request.answers]
            self._spans.step(answer.decision_id, router, ask, step, asked)
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
        return [
            *found,
            *self.routers.problems(),
            *self.control.health.problems(),
            *self.control.measures.problems(),
        ]

    def _snapshot(self) -> Snapshot:
        loaders = [*self.routers.loaders()]
        if self.experiment is not None:
            loaders.append(self.experiment.loader)
        return snapshot(self.telemetry, loaders, self.log, self.heartbeats(), self.control)

    def _put_keys_in_force(self) -> None:
        self.access.keys = read_keys(self.settings.keys_file, self.settings.api_keys)

    def _told(self, given: FeedbackRequest, call: Call) -> None:
        self.control.reported(given, call.key)

    def _patience(self, call: Call, default_ms: float) -> float:
        """Seconds that a call may still wait."""
        left_s = (call.deadline_ms or default_ms) / 1e3 - call.waited_s
        if left_s <= 0.0:
            raise OverloadError("deadline", "the request waited too long; try again")
        return left_s

    def _read_ask(self, request: RouteRequest, call: Call) -> Ask:
        return read_ask(
            request,
            self._tools,
            call=call,
            max_messages=self.settings.max_messages,
            tenants=self.access.keys.tenants,
        )

    async def _screened(self, request: RouteRequest, call: Call) -> Ask:
        return await self._screening.screened(self._read_ask(request, call))

    def _router(self) -> Router:
        return self.routers.find()

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
        if self._recording is not None:
            self._recording.take(Made(decision_id, now(), router, ask, decision, ranking))
        if self._spans is not None:
            self._spans.record(decision_id, router, ask, decision)
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
            tuple(rule.name for rule in ask.limits.rules),
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
