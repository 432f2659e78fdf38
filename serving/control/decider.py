"""From asks to answers: predictions together, and each choice under what is known by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from router_ml.errors import InvalidRequestError
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions
from serving.control.control import Control
from serving.loading.loader import Router
from serving.requests import Ask

_TURN: Final = 16
"""Choices of a batch between which the loop serves others."""
T = TypeVar("T")


class Decider(Generic[T]):
    """Decides asks; used on the event loop alone.

    Parameters
    ----------
    control : what the service knows
    answer : makes of a decision what the asker gets, and notes it
    """

    def __init__(self, *, control: Control, answer: Callable[[Router, Ask, Decision], T]) -> None:
        self.control = control
        self.answer = answer

    def each(self, router: Router, asks: Sequence[Ask]) -> list[T | Exception]:
        """An answer, or an error, for every ask; those of one router are scored together."""
        runtime = router.runtime
        concerns = self.control.concerns
        if len(asks) == 1 and not concerns(ask := asks[0]):
            return [self._answer(router, ask, runtime.decide(ask.query, ask.limits))]
        if any(map(concerns, asks)):
            # One after the other: what the first one books, the second one lacks.
            predictions = runtime.predict([ask.query for ask in asks])
            rows = zip(asks, predictions.rows(), strict=True)
            return [self._one(router, ask, row) for ask, row in rows]
        predictions = runtime.predict([ask.query for ask in asks])
        results = runtime.choose_each(predictions, [ask.limits for ask in asks])
        return [
            self._answer(router, ask, result) if isinstance(result, Decision) else result
            for ask, result in zip(asks, results, strict=True)
        ]

    def choose(self, router: Router, ask: Ask, predictions: Predictions) -> tuple[Ask, Decision]:
        """Choose for one ask and book it; the ask comes back with the limits that held.

        Parameters
        ----------
        predictions : of the ask, shape (1, K)
        """
        control = self.control
        if not control.concerns(ask):
            return ask, router.runtime.choose(predictions, ask.limits)
        ask = control.prepare(ask)
        try:
            decision = router.runtime.choose(predictions, ask.limits)
        except Exception as error:
            control.fails(ask, error)
            raise
        line = next(line for line in decision.ranking if line.candidate == decision.candidate)
        control.chosen(ask, decision.candidate, line.cost_usd, decision)
        return ask, decision

    async def choose_all(
        self, router: Router, asks: Sequence[Ask], predictions: Predictions
    ) -> list[tuple[Ask, Decision]]:
        """Choose for all or for none; an error names the position.

        Parameters
        ----------
        predictions : of the asks, shape (n_asks, K)
        """
        chosen: list[tuple[Ask, Decision]] = []
        if not any(self.control.concerns(ask) for ask in asks):
            limits = [ask.limits for ask in asks]
            results = await asyncio.to_thread(router.runtime.choose_each, predictions, limits)
            for position, (ask, result) in enumerate(zip(asks, results, strict=True)):
                if not isinstance(result, Decision):
                    raise type(result)(f"requests[{position}]: {result}") from result
                chosen.append((ask, result))
            return chosen
        try:
            for ask, row in zip(asks, predictions.rows(), strict=True):
                chosen.append(self.choose(router, ask, row))
                if not len(chosen) % _TURN:
                    await asyncio.sleep(0)
        except BaseException as error:
            for ask, _ in chosen:
                self.control.undo(ask)
            if isinstance(error, InvalidRequestError):
                raise type(error)(f"requests[{len(chosen)}]: {error}") from error
            raise
        return chosen

    def _one(self, router: Router, ask: Ask, predictions: Predictions) -> T | Exception:
        try:
            return self.answer(router, *self.choose(router, ask, predictions))
        except Exception as error:  # the others of the batch must be answered
            return error

    def _answer(self, router: Router, ask: Ask, decision: Decision) -> T | Exception:
        try:
            return self.answer(router, ask, decision)
        except Exception as error:
            return error
