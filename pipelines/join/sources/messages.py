"""Messages as agent frameworks, chat exports and providers write them, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ROLES: Final = {
    **dict.fromkeys(("user", "human", "customer", "client", "visitor"), "user"),
    **dict.fromkeys(("assistant", "ai", "bot", "gpt", "model", "chatgpt", "agent"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
_SPEAKER: Final = ("role", "from", "author", "sender", "speaker", "type")
_TEXT: Final = ("content", "parts", "value", "text", "body", "message")


def as_messages(items: list[Any]) -> list[Any]:
    """The same conversation with ``role`` and ``content``; what is no known form stays as it is.

    Known: LangChain's (``type`` and ``data``, and its constructors), ShareGPT's (``from`` and
    ``value``), Gemini's (``role`` and ``parts``), and a speaker beside a text.

    Examples
    --------
    >>> as_messages([{"type": "human", "data": {"content": "Hi"}}, {"from": "gpt", "value": "Yes"}])
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Yes'}]
    """
    return [_message(item) if _is_foreign(item) else item for item in items]


def _is_foreign(item: Any) -> bool:
    return isinstance(item, Mapping) and not ("role" in item and "content" in item)


def _message(item: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = item.get("kwargs") if item.get("lc") else item.get("data")
    said = inner if isinstance(inner, Mapping) else item
    role = next((found for key in _SPEAKER if (found := _role(said.get(key) or item.get(key)))), "")
    text = next((said[key] for key in _TEXT if said.get(key) is not None), None)
    if isinstance(text, Mapping):  # ChatGPT's own export keeps parts one level deeper
        text = text.get("parts", text.get("text"))
    if not role or text is None:
        return item
    calls = said.get("tool_calls")
    return {"role": role, "content": text, **({"tool_calls": calls} if calls else {})}


def _role(speaker: Any) -> str:
    if isinstance(speaker, Mapping):
        speaker = speaker.get("role") or speaker.get("name")
    return _ROLES.get(speaker.lower(), "") if isinstance(speaker, str) else ""
