"""The whole cascade around any callable: ask, judge, escalate, within limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import ConfigError, InvalidRequestError
from router_ml.features.query import Query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import NO_CONSTRAINTS

Ask = Callable[[str, Query, float | None], Attempt]
"""``ask(candidate, query, timeout_s)`` calls the endpoint. Any exception counts as a failure."""
MAX_DEPTH: Final = 5


class Decides(Protocol):
    """What gives the next step: a ``CascadeRuntime``, or a client of ``/v1/cascade/next``."""

    def next(
        self,
        query: Query,
        attempts: Sequence[Attempt],
        constraints: Constraints = NO_CONSTRAINTS,
        *,
        max_depth: int | None = None,
    ) -> NextStep:
        """As ``CascadeRuntime.next``."""
        ...


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """How a cascade ended.

    Parameters
    ----------
    candidate, text : the accepted answer; its text is ``""`` where it only calls tools
    tool_calls : native calls of the accepted answer
    quality : its estimated quality
    attempts : every turn; those that failed have neither text nor calls
    errors : class names of what the failed turns raised, in order
    cost_usd, latency_ms : of all turns together
    """

    candidate: str
    text: str
    tool_calls: tuple[Mapping[str, Any], ...]
    quality: float
    attempts: tuple[Attempt, ...]
    errors: tuple[str, ...]
    cost_usd: float
    latency_ms: float


class CascadeClient:
    """Runs cascades.

    A candidate that fails or times out is skipped and not asked again. Limits hold for the whole
    cascade; when one is reached, the best answer so far is accepted.

    Parameters
    ----------
    decides : gives the next step
    ask : calls a candidate and says what it answered and cost
    max_depth : most turns, failed ones included, >= 1
    max_cost_usd, max_seconds : of the whole cascade, > 0, optional
    clock : seconds, monotonic
    """

    def __init__(
        self,
        *,
        decides: Decides,
        ask: Ask,
        max_depth: int = MAX_DEPTH,
        max_cost_usd: float | None = None,
        max_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = (max_cost_usd, max_seconds)
        if max_depth < 1 or any(limit is not None and not limit > 0 for limit in limits):
            raise ConfigError(
                f"max_depth must be >= 1 and the other limits > 0, got {max_depth} and {limits}"
            )
        self.decides = decides
        self.ask = ask
        self.max_depth = max_depth
        self.max_cost_usd = max_cost_usd
        self.max_seconds = max_seconds
        self.clock = clock

    def run(self, query: Query, constraints: Constraints = NO_CONSTRAINTS) -> CascadeResult:
        """Ask until an answer is accepted.

        Parameters
        ----------
        query : what to ask
        constraints : of this request, beside the client's own limits; the lower of two holds

        Raises
        ------
        InvalidRequestError
            If every candidate within the limits failed; the text names what they raised.
        """
        begin = self.clock()
        constraints = replace(
            constraints,
            max_cost_usd=_lower(constraints.max_cost_usd, self.max_cost_usd),
            max_latency_ms=_lower(
                constraints.max_latency_ms,
                None if self.max_seconds is None else self.max_seconds * 1e3,
            ),
        )
        attempts: list[Attempt] = []
        errors: list[str] = []
        while True:
            try:
                step = self.decides.next(query, attempts, constraints, max_depth=self.max_depth)
            except InvalidRequestError as error:
                if not errors:
                    raise
                raise InvalidRequestError(
                    f"no candidate answered within the limits; they raised {', '.join(errors)}"
                ) from error
            if step.action == "accept":
                return self._result(step, attempts, errors)
            attempts.append(self._turn(step.candidate, query, begin, errors))

    def _turn(self, candidate: str, query: Query, begin: float, errors: list[str]) -> Attempt:
        start = self.clock()
        left = None if self.max_seconds is None else max(0.0, self.max_seconds - (start - begin))
        try:
            attempt = replace(self.ask(candidate, query, left), candidate=candidate)
        except Exception as error:  # whatever an endpoint raises, the next one is asked
            errors.append(type(error).__name__)
            attempt = Attempt(candidate, None)
        return replace(attempt, latency_ms=(self.clock() - start) * 1e3)

    @staticmethod
    def _result(step: NextStep, attempts: list[Attempt], errors: list[str]) -> CascadeResult:
        accepted = next(a for a in attempts if a.candidate == step.candidate)
        return CascadeResult(
            candidate=step.candidate,
            text=accepted.text or "",
            tool_calls=tuple(accepted.tool_calls),
            quality=step.quality,
            attempts=tuple(attempts),
            errors=tuple(errors),
            cost_usd=sum(attempt.cost_usd for attempt in attempts),
            latency_ms=sum(attempt.latency_ms for attempt in attempts),
        )


def _lower(one: float | None, other: float | None) -> float | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given) if given else None
