"""What an agent's step looks like to the router: its messages without noise, and where it stands.

Duck-typed: LangChain's messages are read by their attributes, so that nothing is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_ROLES: Final[Mapping[str, str]] = {"human": "user", "ai": "assistant"}
_MOST_TOOLS: Final = 16
_LONGEST: Final = 64


def chat_messages(messages: Iterable[Any]) -> list[dict[str, Any]]:
    """Messages as a chat request has them; those that a harness wrote as if a human are left out.

    LangChain marks these, such as a summary of earlier turns, with ``lc_source``. The service
    strips the blocks that harnesses put inside a human's message.
    """
    found = []
    for message in messages:
        if message.type == "human" and (message.additional_kwargs or {}).get("lc_source"):
            continue
        role = _ROLES.get(message.type, message.type)
        out: dict[str, Any] = {"role": role, "content": message.content}
        if calls := getattr(message, "tool_calls", None):
            out["tool_calls"] = [
                {"id": c.get("id"), "type": "function", "function": {"name": c["name"]}}
                for c in calls
            ]
        if message.type == "tool":
            out["tool_call_id"] = message.tool_call_id
        found.append(out)
    return found


def step_tags(messages: Sequence[Any], *, agent: str = "") -> dict[str, str]:
    """Where an agent's run stands, as tags of the decision.

    ``step.last`` is who wrote the last message (``human``, ``ai``, or ``tool:NAME``),
    ``step.depth`` counts the model's turns since a human last asked, ``step.tools`` names the
    tools that were called in them, ``agent`` is the agent or sub-agent.
    """
    depth = 0
    tools: dict[str, None] = {}
    for message in reversed(messages):
        if message.type == "human" and not (message.additional_kwargs or {}).get("lc_source"):
            break
        if message.type == "ai":
            depth += 1
            for call in getattr(message, "tool_calls", None) or ():
                tools[str(call["name"])[:_LONGEST]] = None
    last = messages[-1].type if messages else ""
    if last == "tool":
        last = f"tool:{getattr(messages[-1], 'name', None) or ''}"[:_LONGEST]
    tags = {"step.last": last, "step.depth": str(depth)}
    if tools:
        tags["step.tools"] = ",".join(sorted(tools)[:_MOST_TOOLS])
    if agent:
        tags["agent"] = agent
    return tags
