"""What the service knows around a request, before the choice and after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from router_ml.errors import OverBudgetError
from router_ml.runtime.conditions import Conditions
from router_ml.types.decisions import Decision
from router_ml.types.failures import Outcome
from serving.control.budgets import Budgets
from serving.control.health import Health
from serving.control.link import Event, Link
from serving.control.measures_file import NO_MEASURES
from serving.control.sessions import Conversation, Sessions, beginning, estimate, key_of
from serving.control.turn import Turn
from serving.keys import Key
from serving.loading.loader import Router
from serving.requests import Ask
from serving.schemas import FeedbackRequest, HealthEvent

_PENDING: Final = 25_000
"""So many decisions at least, and twice as many at most, can be told their feedback."""

_Plain = tuple[str, str | None]
"""Candidate and caller of a decision on which nothing that is known bore."""


class Control:
    """Sessions, health and budgets around the runtime; used on the event loop alone.

    Parameters
    ----------
    sessions : ``None`` = nothing is remembered of conversations
    health, budgets : of this process
    derives_sessions : whether requests without an id belong to a conversation by how they begin
    link : to other processes; ``None`` = there are none
    names : gives the candidates of all routers in service

    Attributes
    ----------
    measures : masks and trials in force
    """

    def __init__(
        self,
        *,
        sessions: Sessions | None = None,
        health: Health | None = None,
        budgets: Budgets | None = None,
        derives_sessions: bool = True,
        link: Link | None = None,
        names: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self.sessions = sessions
        self.health = health or Health()
        self.budgets = budgets or Budgets()
        self.derives_sessions = derives_sessions
        self.link = link
        self.names = names
        self.measures = NO_MEASURES
        # Two generations: the older one is forgotten whole, which costs a decision next to nothing.
        self._pending: dict[str, Turn | _Plain] = {}
        self._older: dict[str, Turn | _Plain] = {}

    def looks(self, router: Router) -> bool:
        """Whether anything is to be looked up before a request of this router is decided."""
        return (self.sessions is not None and router.runtime.prices_caches) or (
            self.link is not None and bool(self.budgets.budgets)
        )

    async def begin(self, router: Router, ask: Ask) -> Ask:
        """Look up which conversation and accounts a request belongs to, where that matters."""
        if self.link is not None and self.budgets.budgets:
            tags = ask.request.tags
            if not self.budgets.knows(ask.tenant, ask.call.key_name, tags):
                await self.link.look(self.budgets, self.sessions)
        if self.sessions is None or not router.runtime.prices_caches:
            return ask
        conversation = self._conversation(ask)
        if conversation is None:
            return ask
        if self.link is not None:
            await self.link.recall(self.sessions, conversation.key)
        return replace(ask, conversation=conversation)

    def concerns(self, ask: Ask) -> bool:
        """Whether anything that is known bears on a request."""
        return (
            ask.conversation is not None
            or bool(self.budgets.budgets)
            or not self.health.is_calm
            or self.measures.are_taken
            or ask.limits.max_ttft_ms is not None
        )

    def prepare(self, ask: Ask) -> Ask:
        """Put into a request's limits what is known at this moment.

        Raises
        ------
        HttpError
            429 where its budget is spent and refuses.
        """
        turn = Turn(caller=ask.call.key_name)
        allowance = self.budgets.allowance(ask.tenant, turn.caller, ask.request.tags)
        avoid, turn.probed = ((), ()) if self.health.is_calm else self.health.avoid()
        conditions = Conditions(
            cached_tokens=self._cached_tokens(ask, turn),
            avoid=(*avoid, *self.measures.masked),
            explored=self.measures.explored,
            ttft_ms={} if ask.limits.max_ttft_ms is None else self.health.ttft_ms(),
            extra_cost_weight=allowance.extra_cost_weight,
            left_usd=allowance.left_usd,
            spent_budget=allowance.spent_budget,
        )
        return replace(ask, limits=replace(ask.limits, conditions=conditions), turn=turn)

    def look_ahead(self, ask: Ask) -> Ask:
        """The same for a request that nobody will answer: it takes no turn to probe.

        Raises
        ------
        HttpError
            As :meth:`prepare`.
        """
        ask = self.prepare(ask)
        if ask.turn is not None and ask.turn.probed:
            self.health.settle(ask.turn.probed, "")
        return ask

    def chosen(self, ask: Ask, candidate: str, usd: float, decision: Decision | None) -> None:
        """Book what was decided, before the next request is."""
        turn = ask.turn
        if turn is None:
            return
        turn.candidate = candidate
        if turn.probed:
            self.health.settle(turn.probed, candidate)
        if self.budgets.budgets:
            ranking = () if decision is None else decision.ranking
            tags = ask.request.tags
            turn.usd = usd
            turn.bookings = self.budgets.book(ask.tenant, turn.caller, tags, usd, ranking)
        if turn.conversation is not None and self.sessions is not None:
            self._asked(turn.conversation, candidate, estimate(ask.query))

    def undo(self, ask: Ask) -> None:
        """A request of a batch that is refused as a whole."""
        if ask.turn is not None:
            self.budgets.correct(ask.turn.bookings, -ask.turn.usd)

    def fails(self, ask: Ask, error: Exception) -> None:
        """Nobody was chosen: the turns to probe are free again.

        Raises
        ------
        HttpError
            429 where no candidate fits what a budget has left, until its window ends.
        """
        if ask.turn is not None and ask.turn.probed:
            self.health.settle(ask.turn.probed, "")
        if isinstance(error, OverBudgetError):
            self.budgets.refuse_fullest(ask.tenant, ask.call.key_name, ask.request.tags)

    def answered(self, decision_id: str, ask: Ask, candidate: str) -> None:
        """Remember a decision until its feedback comes."""
        key = ask.call.key
        self._pending[decision_id] = ask.turn or (candidate, None if key is None else key.name)
        if len(self._pending) >= _PENDING:
            self._older, self._pending = self._pending, {}

    def reported(self, given: FeedbackRequest, key: Key | None) -> None:
        """Take what feedback says of spending, caches and health.

        Parameters
        ----------
        key : of who gives it; decisions that others asked for need the scope ``label``
        """
        caller, is_trusted = (None, True) if key is None else (key.name, key.allows("label"))
        if not self.told_decision(given, caller, is_trusted) and self.link is not None:
            self.link.tell_decision(given, caller, is_trusted)

    def settled(self, turn: Turn, given: FeedbackRequest) -> None:
        """What was decided has been done, at this cost, by whom."""
        served = given.candidate_served or turn.candidate
        if given.cost_usd is not None and turn.bookings:
            self.budgets.correct(turn.bookings, given.cost_usd - turn.usd)
            turn.usd = given.cost_usd
        if turn.conversation is not None and self.sessions is not None:
            if served != turn.candidate:
                self.sessions.forget(turn.conversation, turn.candidate)
            if given.input_tokens:
                self._asked(turn.conversation, served, given.input_tokens)

    def health_event(self, candidate: str, given: FeedbackRequest | HealthEvent) -> Outcome | None:
        """Take how one call of a candidate went, and let other processes know."""
        outcome = self._report(candidate, given)
        if outcome is not None and self.link is not None:
            self.link.tell_health(candidate, given)
        return outcome

    def told(self, event: Event) -> None:
        """Take what another process was told."""
        if event.feedback is not None:
            self.told_decision(event.feedback, event.caller, event.is_trusted)
        elif event.health is not None and event.health.candidate in self.names():
            self._report(event.health.candidate, event.health)

    def told_decision(self, given: FeedbackRequest, caller: str | None, is_trusted: bool) -> bool:
        """Take feedback that comes here or to another process; whether the decision is ours.

        Parameters
        ----------
        caller : name of the key that gave it
        is_trusted : whether it may be about decisions that others asked for
        """
        decision_id = given.decision_id
        known = self._pending.get(decision_id) or self._older.get(decision_id)
        if known is None:
            return False
        turn = Turn(*known) if isinstance(known, tuple) else known
        if is_trusted or turn.caller == caller:
            self.settled(turn, given)
            served = given.candidate_served or turn.candidate
            if served in self.names():
                self.health_event(served, given)
        return True

    def _report(self, candidate: str, given: FeedbackRequest | HealthEvent) -> Outcome | None:
        return self.health.report(
            candidate,
            status=given.status,
            error_class=given.error_class,
            latency_ms=given.latency_ms,
            ttft_ms=given.ttft_ms,
        )

    def _conversation(self, ask: Ask) -> Conversation | None:
        request, caller = ask.request, ask.call.key_name
        session = request.session
        if session is not None or request.session_id is not None:
            named: object = ask.session_id
            if named is None:
                named = _beginning(ask)
            previous, cached = None, None
            if session is not None:
                previous, cached = session.previous_candidate, session.cached_tokens
            return Conversation(key_of(caller, ask.tenant, named), previous, cached)
        # A single question is no conversation; from its second turn on it is.
        if not self.derives_sessions or (named := _beginning(ask)) is None:
            return None
        return Conversation(key_of(caller, ask.tenant, named), is_derived=True)

    def _cached_tokens(self, ask: Ask, turn: Turn) -> dict[str, int] | None:
        conversation = ask.conversation
        if conversation is None or self.sessions is None:
            return None
        turn.conversation = conversation.key
        cached = self.sessions.cached_tokens(conversation, ask.query)
        return cached or (None if conversation.is_derived and ask.query.n_turns < 2 else {})

    def _asked(self, key: bytes, candidate: str, tokens: int) -> None:
        if self.sessions is not None:
            self.sessions.asked(key, candidate, tokens)
            if self.link is not None:
                self.link.tell_session(key)


def _beginning(ask: Ask) -> list[object] | None:
    messages = ask.request.messages
    return None if messages is None else beginning(messages)
