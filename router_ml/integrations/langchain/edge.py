"""The router as a conditional edge of a LangGraph graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from langchain_core.messages import convert_to_messages

from router_ml.client import RouterClient
from router_ml.errors import ConfigError
from router_ml.integrations.langchain.steps import chat_messages, step_tags

_LOG: Final = logging.getLogger(__name__)


def router_edge(
    client: RouterClient, nodes: Mapping[str, str], *, agent: str = "", **limits: Any
) -> Callable[[Mapping[str, Any]], str]:
    """A function for ``graph.add_conditional_edges``: from a state with ``messages`` to a node.

    The messages may be LangChain's, or what it makes messages of: dicts, pairs, texts.

    Parameters
    ----------
    client : its fallback must be one of ``nodes``
    nodes : candidate name to the node that calls it
    agent : stands in the decision's tags
    limits : further fields of the route request

    Raises
    ------
    ConfigError
        If the fallback has no node.
    """
    if client.fallback not in nodes:
        raise ConfigError(
            f"the client's fallback must be one of {', '.join(nodes)}, got {client.fallback!r}"
        )

    def route(state: Mapping[str, Any]) -> str:
        try:
            messages = convert_to_messages(state["messages"])
            choice = client.route(
                messages=chat_messages(messages),
                candidates=list(nodes),
                tags=step_tags(messages, agent=agent),
                **limits,
            )
            return nodes[choice.candidate]
        except Exception as error:
            # The contract: an error of ours is never the graph's.
            _LOG.warning("the step cannot be described: %s", type(error).__name__)
            return nodes[client.fallback]

    return route
