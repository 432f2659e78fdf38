"""The router as a middleware of LangChain's agents."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp

from router_ml.client import Choice, RouterClient
from router_ml.errors import ConfigError
from router_ml.integrations.langchain.steps import chat_messages, step_tags

_LOG: Final = logging.getLogger(__name__)


class RouterMiddleware(AgentMiddleware):  # type: ignore[misc]  # LangChain may not be installed
    """Chooses the model of every step of an agent; the rest of the ranking stands in for failures.

    Parameters
    ----------
    client : of the scoring service; its fallback must be one of ``models``
    models : candidate name to a chat model, or its name as ``init_chat_model`` takes it
    agent : stands in the decision's tags; tells sub-agents apart
    attempts : models that are asked at most in one step, >= 1
    limits : further fields of the route request, such as ``{"max_cost_usd": 0.01}``
    report : send what came of each step as feedback, beside the step

    Raises
    ------
    ConfigError
        If the fallback is no model.
    """

    def __init__(
        self,
        *,
        client: RouterClient,
        models: Mapping[str, Any],
        agent: str = "",
        attempts: int = 3,
        limits: Mapping[str, Any] | None = None,
        report: bool = True,
    ) -> None:
        super().__init__()
        if client.fallback not in models or attempts < 1:
            raise ConfigError(
                f"the client's fallback must be one of {', '.join(models)} and attempts at least "
                f"1, got {client.fallback!r} and {attempts}"
            )
        self.client = client
        self.models = {
            name: init_chat_model(model) if isinstance(model, str) else model
            for name, model in models.items()
        }
        self.agent = agent
        self.attempts = attempts
        self.limits = dict(limits or {})
        self._reports = ThreadPoolExecutor(1, thread_name_prefix="router") if report else None

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Route one model call."""
        choice = self._choose(request)
        for position, name in enumerate(names := self._names(choice)):
            begun = time.perf_counter()
            try:
                response = handler(request.override(model=self.models[name]))
            except GraphBubbleUp:  # an interrupt for a human is no failure
                raise
            except Exception as error:
                self._say(choice, name, begun, error=error)
                if position + 1 == len(names):
                    raise
            else:
                self._say(choice, name, begun, response=response)
                return response
        return None

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Route one model call; the service is asked in a thread."""
        choice = await asyncio.to_thread(self._choose, request)
        for position, name in enumerate(names := self._names(choice)):
            begun = time.perf_counter()
            try:
                response = await handler(request.override(model=self.models[name]))
            except GraphBubbleUp:
                raise
            except Exception as error:
                self._say(choice, name, begun, error=error)
                if position + 1 == len(names):
                    raise
            else:
                self._say(choice, name, begun, response=response)
                return response
        return None

    def _choose(self, request: Any) -> Choice:
        """Whom the router wants; whatever goes wrong, the fallback."""
        try:
            given = [] if request.system_message is None else [request.system_message]
            tools = [convert_to_openai_tool(tool) for tool in request.tools]
            return self.client.route(
                messages=chat_messages([*given, *request.messages]),
                tools=tools or None,
                candidates=list(self.models),
                tags=step_tags(request.messages, agent=self.agent),
                session_id=_thread(),
                **self.limits,
            )
        except Exception as error:
            # The contract: an error of ours is never the agent's.
            _LOG.warning("the step cannot be described: %s", type(error).__name__)
            name = self.client.fallback
            return Choice(name, (name,), None, "fallback", "the step cannot be described")

    def _names(self, choice: Choice) -> list[str]:
        """Models to ask in turn: the ranking, and the fallback where it is not in it."""
        ranked = [name for name in (choice.candidate, *choice.ranking) if name in self.models]
        first = list(dict.fromkeys(ranked))[: self.attempts]
        return first if self.client.fallback in first else [*first, self.client.fallback]

    def _say(
        self,
        choice: Choice,
        name: str,
        begun: float,
        *,
        response: Any = None,
        error: BaseException | None = None,
    ) -> None:
        if self._reports is None or choice.decision_id is None:
            return
        fields: dict[str, Any] = {
            "candidate_served": name,
            "latency_ms": 1e3 * (time.perf_counter() - begun),
            "status": "success" if error is None else "failure",
        }
        usage = _usage(response)
        fields |= {key: usage[key] for key in ("input_tokens", "output_tokens") if key in usage}
        self._reports.submit(self.client.feedback, choice.decision_id, name="step", **fields)


def _usage(response: Any) -> Mapping[str, int]:
    messages = getattr(response, "result", None) or [response]
    return getattr(messages[-1], "usage_metadata", None) or {}


def _thread() -> str | None:
    """The conversation, where the graph keeps one."""
    try:
        found = (get_config().get("configurable") or {}).get("thread_id")
    except RuntimeError:  # outside a graph
        return None
    return None if found is None else str(found)[:256]
