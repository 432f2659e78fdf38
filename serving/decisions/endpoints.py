"""``POST /v1/decisions`` and ``POST /v1/systemone``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions
from serving.decisions.answers import Answer, Answering
from serving.decisions.schemas import (
    DecisionRequest,
    DecisionResponse,
    Question,
    SystemOneRequest,
)
from serving.decisions.state import chat_of
from serving.decisions.systemone import to_question, to_response
from serving.http.bodies import read_json
from serving.http.call import Call
from serving.loading.loader import Router
from serving.requests import Ask
from serving.schemas import RouteRequest


class DecisionEndpoints:
    """Answers questions; every choice is a decision, logged as those of ``/v1/route`` are.

    Parameters
    ----------
    aliases : label to candidate
    router : the router in service, for a call that may still wait
    read_ask : from a route request and its call to what is scored, screened
    choose : decides for an ask whose predictions are known, and gives it back with what held
    record : logs and counts a decision, and gives its id
    """

    def __init__(
        self,
        *,
        aliases: Mapping[str, str],
        router: Callable[[Call], Router],
        read_ask: Callable[[RouteRequest, Call], Awaitable[Ask]],
        choose: Callable[[Router, Ask, Predictions], tuple[Ask, Decision]],
        record: Callable[[Router, Ask, Decision], str],
    ) -> None:
        self.aliases = aliases
        self._router = router
        self._read_ask = read_ask
        self._choose = choose
        self._record = record
        self._encode = msgspec.json.Encoder().encode
        self._decisions = msgspec.json.Decoder(DecisionRequest).decode
        self._systemone = msgspec.json.Decoder(SystemOneRequest).decode

    async def decisions(self, call: Call) -> bytes:
        """``POST /v1/decisions``."""
        router = self._router(call)
        request = read_json(self._decisions, call.body)
        answering = await self._answering(router, request.input, call)
        answers = [answering.answer(question) for question in request.questions]
        return self._encode(DecisionResponse(_model(router), answers))

    async def systemone(self, call: Call) -> bytes:
        """``POST /v1/systemone``."""
        router = self._router(call)
        request = read_json(self._systemone, call.body)
        questions: dict[str, Question] = {
            name: to_question(name, question) for name, question in request.questions.items()
        }
        answering = await self._answering(router, request.state, call)
        answers: dict[str, Answer] = {
            name: answering.answer(question) for name, question in questions.items()
        }
        return self._encode(to_response(_model(router), answers))

    async def _answering(self, router: Router, state: Any, call: Call) -> Answering:
        messages, tools = chat_of(state)
        raw = msgspec.Raw(self._encode(tools)) if tools is not None else msgspec.Raw()
        ask = await self._read_ask(RouteRequest(messages=messages, tools=raw), call)
        predictions = router.runtime.predict_one(ask.query)
        _, cost_usd = router.runtime.priced(predictions, ask.limits)

        def decide(candidates: tuple[str, ...]) -> tuple[str, Decision]:
            limits = replace(ask.limits, candidates=candidates)
            asked, decision = self._choose(router, replace(ask, limits=limits), predictions)
            return self._record(router, asked, decision), decision

        return Answering(router, predictions, cost_usd[0].tolist(), self.aliases, decide)


def _model(router: Router) -> str:
    return f"{router.name.name}@{router.name.version}"
