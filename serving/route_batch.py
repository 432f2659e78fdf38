"""``POST /v1/route/batch``: many decisions in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from router_ml.errors import InvalidRequestError
from router_ml.runtime.explanation import explained
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions
from serving.control.decider import Decider
from serving.http.bodies import read_json
from serving.http.call import Call
from serving.http.errors import HttpError, OverloadError
from serving.loading.loader import Router
from serving.requests import Ask
from serving.schemas import BatchRequest, BatchResponse, RouteRequest, RouteResponse
from serving.settings import Settings

_BATCHES: Final = 16
"""Batches that may wait while one is scored."""


class Batches:
    """Scored in a thread, one batch at a time, so that single requests go on.

    Parameters
    ----------
    settings : limits
    read_ask : from a route request and its call to what is scored, screened
    router : by the name that a request gives
    decider : chooses under what is known by then
    answer : counts and logs a decision, and gives its answer
    patience : seconds that a call may still wait, by default milliseconds
    """

    def __init__(
        self,
        *,
        settings: Settings,
        read_ask: Callable[[RouteRequest, Call], Ask],
        router: Callable[[str | None], Router],
        decider: Decider[bytes],
        answer: Callable[[Router, Ask, Decision], RouteResponse],
        patience: Callable[[Call, float], float],
    ) -> None:
        self.settings = settings
        self._read_ask = read_ask
        self._router = router
        self._decider = decider
        self._answer = answer
        self._patience = patience
        self._waiting = 0
        self._one = asyncio.Semaphore(1)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(BatchRequest).decode

    async def route(self, call: Call) -> bytes:
        """Answer one call."""
        wait_s = self._patience(call, self.settings.batch_deadline_ms)
        if self._waiting > _BATCHES:
            raise OverloadError("queue", "too many batches wait; try again")
        requests = read_json(self._decode, call.body).requests
        most = self.settings.max_batch
        if len(requests) > most:
            raise HttpError(422, f"expected at most {most} requests, got {len(requests)}")
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_s) as patience, self._one:
                patience.reschedule(None)
                answers = await self._decide(requests, call)
        except TimeoutError as error:
            raise OverloadError("deadline", "the batch waited too long; try again") from error
        finally:
            self._waiting -= 1
        return self._encode(BatchResponse(answers))

    async def _decide(self, requests: Sequence[RouteRequest], call: Call) -> list[RouteResponse]:
        """All or none; reading and scoring take place in a thread, so that others go on."""
        if len({request.router for request in requests}) > 1:
            raise InvalidRequestError("expected one router for all requests of a batch")
        router = self._router(requests[0].router)
        part = Call(call.body[: len(call.body) // len(requests)], call.key)

        def read_and_predict() -> tuple[list[Ask], Predictions]:
            asks: list[Ask] = []
            try:
                asks.extend(self._read_ask(request, part) for request in requests)
            except InvalidRequestError as error:
                raise InvalidRequestError(f"requests[{len(asks)}]: {error}") from error
            return asks, router.runtime.predict([ask.query for ask in asks])

        asks, predictions = await asyncio.to_thread(read_and_predict)
        control = self._decider.control
        if control.looks(router):
            asks = [await control.begin(router, ask) for ask in asks]
        chosen = await self._decider.choose_all(router, asks, predictions)
        answers = [self._answer(router, ask, decision) for ask, decision in chosen]
        for answer, (ask, decision) in zip(answers, chosen, strict=True):
            if ask.request.explain:
                answer.explanation = await asyncio.to_thread(
                    explained, router.runtime, ask.query, ask.limits, decision
                )
        return answers
