"""Requests of LiteLLM's routes, as the router reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_OUTPUT: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_TYPES: Final = ("text", "json_object", "json_schema")


_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def chat_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Fields of ``POST /v1/route`` for a request; ``None`` where nobody asks anything.

    Read are chat completions and Anthropic messages (``messages``), responses (``input``,
    ``instructions``) and completions (``prompt``).

    Examples
    --------
    >>> chat_of({"input": "Mix blue.", "instructions": "Be brief.", "max_output_tokens": 9})
    {'messages': [{'role': 'system', 'content': 'Be brief.'},
    {'role': 'user', 'content': 'Mix blue.'}], 'max_output_tokens': 9}
    """
    messages = _messages(data)
    if not messages:
        return None
    chat: dict[str, Any] = {"messages": messages}
    if tools := data.get("tools") or data.get("functions"):
        chat["tools"] = tools
    for name in _OUTPUT:
        limit = data.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1:
            chat["max_output_tokens"] = limit
            break
    shape = data.get("response_format")
    if isinstance(shape, Mapping) and shape.get("type") in _TYPES:
        chat["response_format"] = {"type": shape["type"]}
    return chat


def traceparent_of(data: Mapping[str, Any]) -> str | None:
    """W3C trace context that the client sent with a request, as LiteLLM keeps its headers.

    Examples
    --------
    >>> traceparent_of({"proxy_server_request": {"headers": {"traceparent": "made up"}}}) is None
    True
    """
    request = data.get("proxy_server_request")
    headers = request.get("headers") if isinstance(request, Mapping) else None
    given = headers.get("traceparent") if isinstance(headers, Mapping) else None
    return given if isinstance(given, str) and _TRACE.fullmatch(given) else None


def _messages(data: Mapping[str, Any]) -> list[Any] | None:
    messages = data.get("messages")
    if isinstance(messages, list):
        return messages
    for name in ("input", "prompt"):
        given = data.get(name)
        if isinstance(given, str) and given.strip():
            given = [{"role": "user", "content": given}]
        if isinstance(given, list) and given and all(isinstance(item, Mapping) for item in given):
            system = data.get("instructions")
            head = [{"role": "system", "content": system}] if isinstance(system, str) else []
            return [*head, *given]
    return None
