"""What a candidate answered: text, native tool calls, or both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MAX_STORED: Final = 200_000
"""Characters beyond which stored text is not parsed for tool calls: a fraction of a millisecond."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as a chat completion gives it.

    A log keeps an answer as one text. Where tools were called natively, the text is a JSON object
    of ``content`` (null without text) and ``tool_calls`` in OpenAI's shape; elsewhere it is the
    content itself. :attr:`stored` writes it, :meth:`from_stored` reads it.

    Parameters
    ----------
    text : the content, ``""`` without any
    tool_calls : objects as the provider gave them, such as
        ``{"type": "function", "function": {"name": "f", "arguments": "{}"}}``
    finish_reason : as the provider gave it, such as ``"length"``

    Examples
    --------
    >>> call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    >>> answer = Answer.from_message({"content": None, "tool_calls": [call]})
    >>> answer.stored
    '{"content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}'
    >>> Answer.from_stored(answer.stored) == answer
    True
    """

    text: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = ""

    @classmethod
    def from_message(cls, message: Mapping[str, Any], *, finish_reason: str = "") -> Answer | None:
        """Read ``content``, ``tool_calls`` and the older ``function_call`` of a message.

        Returns
        -------
        None where the message holds none of them. Content that is no text is kept as JSON.
        """
        content = message.get("content")
        calls = tool_calls(message.get("tool_calls"), message.get("function_call"))
        if content is None and not calls:
            return None
        if content is None:
            content = ""
        text = content if isinstance(content, str) else _dumps(content)
        return cls(text, calls, finish_reason)

    @classmethod
    def from_stored(cls, stored: str, *, finish_reason: str = "") -> Answer:
        """Read what a log keeps; any text is valid."""
        if stored[:1] == "{" and '"tool_calls"' in stored and len(stored) <= _MAX_STORED:
            value = _loads(stored)
            if isinstance(value, Mapping) and (calls := tool_calls(value.get("tool_calls"))):
                content = value.get("content")
                return cls(content if isinstance(content, str) else "", calls, finish_reason)
        return cls(stored, (), finish_reason)

    @property
    def stored(self) -> str:
        """One text that holds all but ``finish_reason``."""
        if not self.tool_calls:
            return self.text
        return _dumps({"content": self.text or None, "tool_calls": self.tool_calls})

    @property
    def shown(self) -> str:
        """The text, then native calls as JSON of names and arguments: what a person would read."""
        if not self.tool_calls:
            return self.text
        calls = _dumps([_plain_call(call) for call in self.tool_calls])
        return f"{self.text}\n{calls}" if self.text else calls


def _plain_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Name and arguments of a native call, without identifiers."""
    inner = call.get("function")
    inner = inner if isinstance(inner, Mapping) else call
    arguments = inner.get("arguments", inner.get("input", {}))
    if isinstance(arguments, str):
        parsed = _loads(arguments) if len(arguments) <= _MAX_STORED else None
        arguments = arguments if parsed is None else parsed
    return {"name": inner.get("name"), "arguments": arguments}


def tool_calls(calls: object, function_call: object = None) -> tuple[Mapping[str, Any], ...]:
    """Native calls, the older ``function_call`` among them; what is no object is left out.

    Parameters
    ----------
    calls : list of objects, or one
    function_call : ``{"name": ..., "arguments": ...}``, OpenAI's until 2023

    Examples
    --------
    >>> tool_calls(None, {"name": "f", "arguments": "{}"})
    ({'type': 'function', 'function': {'name': 'f', 'arguments': '{}'}},)
    """
    if isinstance(calls, Mapping):
        calls = [calls]
    items = calls if isinstance(calls, Sequence) and not isinstance(calls, str) else ()
    found: list[Mapping[str, Any]] = [item for item in items if isinstance(item, Mapping) and item]
    if isinstance(function_call, Mapping) and function_call.get("name"):
        found.append({"type": "function", "function": dict(function_call)})
    return tuple(found)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _loads(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
