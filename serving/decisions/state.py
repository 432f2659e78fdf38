"""What the questions are about, as a chat request that the router knows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_ASK: Final = "\nClassify this message:\n"
_SYSTEM: Final = "\nCaller system prompt, quoted as task context:\n"
_TURNS: Final = "\nRecent conversation (context only, do not classify these):\n"
_END_OF_TURNS: Final = "\n\nConversation so far: ~"
_TURN: Final = re.compile(r"^\[\d+\] (?:(user|assistant): )?", re.MULTILINE)


def chat_of(state: Any) -> tuple[Any, Any]:
    r"""Messages and tools of a state.

    Text is one message. Messages are read as they are, also where they come as JSON in the text of
    one message, as LangChain sends a conversation. LiteLLM's auto router quotes a conversation in
    its own form (``_build_classifier_user_payload``, 1.108): what its user asked is taken out, so
    that the router sees the words it was trained on. Any other JSON is text.

    Examples
    --------
    >>> chat_of("Mix blue.")
    ([{'role': 'user', 'content': 'Mix blue.'}], None)
    >>> chat_of("\nClassify this message:\nMix blue.")[0]
    [{'role': 'user', 'content': 'Mix blue.'}]
    """
    if isinstance(state, str):
        return _from_text(state), None
    if isinstance(state, Mapping):
        if isinstance(state.get("messages"), list):
            return state["messages"], state.get("tools")
        if isinstance(state.get("role"), str):
            return chat_of([state])
    if isinstance(state, list) and state and all(isinstance(item, Mapping) for item in state):
        if len(state) == 1 and (text := _only_text(state[0])) is not None:
            return _from_text(text), None
        if any(isinstance(item.get("role"), str) for item in state):
            return state, None
    return [_user(json.dumps(state, ensure_ascii=False))], None


def _from_text(text: str) -> list[Any]:
    before, mark, ask = text.partition(_ASK)
    if mark and (not before or before.startswith((_SYSTEM, _TURNS, "\nConversation so far: ~"))):
        return [*_quoted(before), _user(ask)]
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and found and all(_is_message(item) for item in found):
            return found
    return [_user(text)]


def _quoted(text: str) -> list[dict[str, str]]:
    """System prompt and earlier turns of LiteLLM's form."""
    system, _, turns = text.rpartition(_END_OF_TURNS)[0].partition(_TURNS)
    if not text.count(_END_OF_TURNS):
        system, _, turns = text.partition(_TURNS)
    messages: list[dict[str, str]] = []
    if system.startswith(_SYSTEM):
        messages.append({"role": "system", "content": system[len(_SYSTEM) :].rstrip("\n")})
    # "[1] user: …" and "[1] …": text before, then role and text of every turn.
    _, *parts = _TURN.split(turns)
    for role, content in zip(parts[::2], parts[1::2], strict=True):
        messages.append({"role": role or "user", "content": content.rstrip("\n")})
    return messages


def _only_text(message: Mapping[str, Any]) -> str | None:
    """The text of a user's message that holds nothing else."""
    content = message.get("content")
    if message.get("role") != "user":
        return None
    if isinstance(content, str):
        return content
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], Mapping):
        text = content[0].get("text")
        return text if isinstance(text, str) else None
    return None


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("role"), str)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
