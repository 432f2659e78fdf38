"""All that a request says, for guards: a router reads the last ask, a guard has to read it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_NOT_TEXT: Final = frozenset(
    {"role", "type", "id", "tool_call_id", "call_id", "url", "image_url", "data", "file_data"}
)
"""Keys whose values nobody wrote, or that hold no text: addresses and encoded media."""


def texts_of(messages: Any) -> list[str]:
    """Every text in messages of any shape, from system prompts to tool results.

    Examples
    --------
    >>> texts_of([{"role": "user", "content": [{"type": "text", "text": "Mix blue."}]},
    ...           {"role": "tool", "content": "42", "tool_call_id": "c1"}])
    ['Mix blue.', '42']
    """
    found: list[str] = []
    stack = [messages]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if item.strip():
                found.append(item)
        elif isinstance(item, Mapping):
            stack += [value for key, value in item.items() if key not in _NOT_TEXT][::-1]
        elif isinstance(item, Sequence):
            stack += item[::-1]
    return found
