"""What LiteLLM calls: a hook that decides and reports, and a classifier of one tier a model."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from litellm.integrations.custom_logger import CustomLogger

from router_ml.client import Choice
from router_ml.integrations.litellm.chats import chat_of, traceparent_of
from router_ml.integrations.litellm.deciders import Decider, among
from router_ml.integrations.litellm.log import PayloadLog
from router_ml.integrations.litellm.records import (
    NO_OPINION,
    fill,
    outcome_of,
    record_in,
    record_of,
    seed,
)

_LOG: Final = logging.getLogger(__name__)
HEADERS: Final = "x-router-"
"""How the headers of an answer begin that tell its decision."""


class RouterHook(CustomLogger):
    """A callback: chooses the model of every request for ``models``, and reports what came of it.

    Whatever goes wrong here, the request goes to the model group that it named: LiteLLM's own
    default. Clients may not choose candidates by metadata; a decision that they made up is removed.

    Parameters
    ----------
    decider : whom to ask; ``None`` = a classifier plugin decides, and this hook only reports
    models : model groups whose requests are decided
    undecided : those of ``models`` that decide by themselves, such as a cascade's: they only get a
        record, which they fill in, and their own call is not logged, since their turns are
    settled : awaited with the record of an undecided request before the headers of its answer are
        written, so that a streamed cascade's name whom it accepted
    candidates : model groups that may be chosen; ``None`` = whomever the decider names
    default : candidate of requests about which the decider has no opinion; ``None`` = the model
        group that the request names decides
    fallbacks : further candidates of the ranking that LiteLLM tries when the chosen one fails
    log : gets the payload of every call
    """

    def __init__(
        self,
        *,
        decider: Decider | None = None,
        models: Collection[str] = ("auto",),
        undecided: Collection[str] = (),
        settled: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None,
        candidates: Collection[str] | None = None,
        default: str | None = None,
        fallbacks: int = 2,
        log: PayloadLog | None = None,
    ) -> None:
        super().__init__()
        self.decider = decider
        self.models = frozenset(models)
        self.undecided = frozenset(undecided)
        self.settled = settled
        self.candidates = None if candidates is None else tuple(candidates)
        self.default = default
        self.fallbacks = fallbacks
        self.log = log

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Set ``model`` and ``fallbacks``, and leave the decision in the metadata."""
        if data.get("model") not in self.models:
            return data
        try:
            record = seed(data)
            if data["model"] in self.undecided:
                return data
            choice = None if self.decider is None else await self._choose(data, self.decider)
            if choice is not None:
                fill(record, choice)
                self._apply(data, choice)
            elif self.default is not None:
                data["model"] = self.default
                record.update(candidate=self.default, policy=NO_OPINION)
        except Exception:  # the contract: our defect is no user's failed request
            _LOG.exception("the request goes to %s", data.get("model"))
        return data

    async def _choose(self, data: Mapping[str, Any], decider: Decider) -> Choice | None:
        chat = chat_of(data)
        if chat is None:
            return None
        if session := _session(data):
            chat["session_id"] = session
        if trace := traceparent_of(data):
            chat["traceparent"] = trace
        return among(await decider.choose(chat), self.candidates)

    def _apply(self, data: dict[str, Any], choice: Choice) -> None:
        data["model"] = choice.candidate
        others = [
            name
            for name in choice.ranking
            if name != choice.candidate and (self.candidates is None or name in self.candidates)
        ]
        if self.fallbacks and others and not data.get("fallbacks"):
            data["fallbacks"] = others[: self.fallbacks]

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """The decision in the answer's headers."""
        record = record_of(data)
        if record is not None and self.settled is not None:
            await self.settled(record)
        if not record:
            return None
        shown = ("decision_id", "candidate", "propensity", "policy")
        return {
            f"{HEADERS}{name.replace('_', '-')}": str(record[name])
            for name in shown
            if record.get(name) is not None
        }

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log the call, and report its outcome."""
        await self._report(kwargs)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log the call, and report that it failed."""
        await self._report(kwargs)

    async def _report(self, kwargs: Mapping[str, Any]) -> None:
        payload = kwargs.get("standard_logging_object")
        if not isinstance(payload, Mapping) or payload.get("model_group") in self.undecided:
            return
        try:
            if self.log is not None:
                self.log.append(payload)
            record = record_in(payload.get("metadata"))
            if record and record.get("decision_id") and self.decider is not None:
                await self.decider.tell(str(record["decision_id"]), outcome_of(payload))
        except Exception:  # a report that fails must not fail LiteLLM's other callbacks
            _LOG.exception("an outcome was not reported")


class RouterClassifier:
    """A classifier plugin of LiteLLM's complexity router with one tier a model.

    LiteLLM 1.108 takes at most eight tiers; with more candidates use :class:`RouterHook`. Set a
    hook without a decider beside it, so that the decision stands in the spend log.

    Parameters
    ----------
    decider : whom to ask
    tiers : candidate to tier; those that are not named are their own
    """

    def __init__(self, *, decider: Decider, tiers: Mapping[str, str] | None = None) -> None:
        self.decider = decider
        self.tiers = dict(tiers or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> RouterClassifier:
        """Itself: LiteLLM copies its model list with everything in it; connections are shared."""
        return self

    async def classify(self, context: Any) -> str | None:
        """The tier of the chosen candidate; ``None``, LiteLLM's fallback, without an opinion."""
        chat = chat_of({"messages": context.structured_messages or context.raw_messages})
        if chat is None:
            return None
        choice = among(await self.decider.choose(chat), frozenset(context.candidate_models))
        if choice is None:
            return None
        record = record_in(context.metadata)
        if record is not None:
            fill(record, choice)
        return self.tiers.get(choice.candidate, choice.candidate)


def _session(data: Mapping[str, Any]) -> str | None:
    session = data.get("litellm_session_id")
    return session if isinstance(session, str) and 0 < len(session) <= 256 else None
