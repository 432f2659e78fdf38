"""What was asked: the human's words and the tools on offer, out of a chat request.

A chat request carries more than its question: system prompts, earlier turns, tool results, and the
blocks that agent harnesses inject into user messages. A router should see the last thing a human
asked for, one earlier ask for context, and which tools there are.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from router_ml.errors import InvalidRequestError
from router_ml.features.tools import ToolList, parse_tools

MAX_ASK_CHARS: Final = 4000
MAX_PRIOR_CHARS: Final = 1000

_HUMAN_ROLES: Final = frozenset({"user", "human"})
_TEXT_PARTS: Final = frozenset({"text", "input_text"})
_HARNESS_TAGS: Final = (
    "system-reminder|system_reminder|tool_result|tool-result|function_results|local-command-stdout"
    "|command-name|command-message|command-args|environment_details|ide_selection|ide_opened_file"
)
_HARNESS_BLOCK: Final = re.compile(
    rf"<({_HARNESS_TAGS})\b[^<>]*>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE
)
_WHITE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Query:
    """One request as features see it.

    Parameters
    ----------
    ask : the last human ask, harness blocks stripped; ``""`` if there is none
    prior : the human ask before it, or ``""``
    tools : function descriptions, one mapping each (``name``, ``description``, ``parameters``)
    history_chars : characters of all messages together, whoever wrote them
    n_turns : number of human asks

    Examples
    --------
    >>> query = parse_query([
    ...     {"role": "user", "content": "Hello"},
    ...     {"role": "assistant", "content": "Hi!"},
    ...     {"role": "user", "content": "<system-reminder>be brief</system-reminder>Mix blue."},
    ... ])
    >>> query.ask, query.prior, query.n_turns
    ('Mix blue.', 'Hello', 2)
    """

    ask: str
    prior: str = ""
    tools: tuple[Mapping[str, Any], ...] = ToolList()
    history_chars: int = 0
    n_turns: int = 1

    def __post_init__(self) -> None:
        if type(self.tools) is not ToolList:
            object.__setattr__(self, "tools", ToolList(self.tools))

    @property
    def text(self) -> str:
        """Ask and prior ask, each capped: the same cap offline and online."""
        ask = _cap(self.ask, MAX_ASK_CHARS)
        return f"{ask}\n{_cap(self.prior, MAX_PRIOR_CHARS)}" if self.prior else ask

    @property
    def tools_text(self) -> str:
        """Names and descriptions of the tools, capped."""
        return parse_tools(self.tools).text


def parse_query(messages: object, tools: object = None) -> Query:
    """Read a chat request.

    Parameters
    ----------
    messages : a plain string, or OpenAI- or Anthropic-style messages: ``role`` and ``content``,
        the content a string, ``None`` or a list of parts
    tools : as :func:`router_ml.features.tools.parse_tools` takes them

    Raises
    ------
    InvalidRequestError
        If a message or a tool is not of these shapes; the text names its position.
    """
    if isinstance(messages, str):
        ask = strip_harness(messages)
        return Query(ask, tools=parse_tools(tools), history_chars=len(messages))
    if not isinstance(messages, Sequence):
        raise InvalidRequestError(
            f"messages must be a list of {{role, content}}, got {type(messages).__name__}"
        )
    asks: list[str] = []
    history_chars = 0
    for position, message in enumerate(messages):
        if isinstance(message, Mapping) and _is_step(message):
            history_chars += _step_chars(message)
            continue
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InvalidRequestError(
                f"messages[{position}] must be an object with a role, got {_brief(message)}"
            )
        text, everything = _content(message.get("content"), position)
        history_chars += everything
        if message["role"] in _HUMAN_ROLES and (ask := strip_harness(text)):
            asks.append(ask)
    return Query(
        ask=asks[-1] if asks else "",
        prior=asks[-2] if len(asks) > 1 else "",
        tools=parse_tools(tools),
        history_chars=history_chars,
        n_turns=len(asks),
    )


def strip_harness(text: str) -> str:
    """Drop what a harness put into a human's message.

    Examples
    --------
    >>> strip_harness("<tool_result>42</tool_result> Is that right?")
    'Is that right?'
    """
    return _HARNESS_BLOCK.sub(" ", text).strip() if "<" in text else text.strip()


def query_id(query: Query) -> str:
    """Hash of text and tools: equal for requests that ask the same with the same tools."""
    tools = json.dumps(query.tools, sort_keys=True, ensure_ascii=False, default=str)
    return _digest(f"{query.ask}\x1f{query.prior}\x1f{tools}")


def group_id(query: Query) -> str:
    """Hash of the normalised ask: the unit of every split, fold and bootstrap.

    Examples
    --------
    >>> group_id(Query("Mix  BLUE")) == group_id(Query("mix blue"))
    True
    """
    text = unicodedata.normalize("NFKC", query.ask).casefold()
    return _digest(_WHITE.sub(" ", text).strip())


def _is_step(message: Mapping[Any, Any]) -> bool:
    """Whether an item of the Responses API is no message but a call, its result or a thought."""
    kind = message.get("type")
    return message.get("role") is None and isinstance(kind, str) and kind != "message"


def _step_chars(step: Mapping[Any, Any]) -> int:
    """Characters of a call's arguments or of its result."""
    texts = (step.get(key) for key in ("arguments", "output", "content"))
    return sum(len(text) for text in texts if isinstance(text, str))


def _content(content: object, position: int) -> tuple[str, int]:
    """Text a human wrote in a message's content, and the characters of all of it."""
    if content is None:
        return "", 0
    if isinstance(content, str):
        return content, len(content)
    if not isinstance(content, Sequence):
        raise InvalidRequestError(
            f"messages[{position}].content must be a string or a list of parts, "
            f"got {_brief(content)}"
        )
    texts: list[str] = []
    everything = 0
    for part in content:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, Mapping):
            raise InvalidRequestError(
                f"messages[{position}].content has a part that is no object: {_brief(part)}"
            )
        kind = part.get("type", "text")
        # OpenTelemetry's parts keep their text under `content`.
        text = part.get("text", part.get("content"))
        if isinstance(kind, str) and kind in _TEXT_PARTS and isinstance(text, str):
            texts.append(text)
            everything += len(text)
        elif "content" in part:
            everything += _content(part["content"], position)[1]
    return "\n".join(texts), everything


def _cap(text: str, limit: int) -> str:
    """Head and tail of a long text: questions stand at either end of a pasted document."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail - 1]}\n{text[-tail:]}"


def _brief(value: object) -> str:
    """Its type alone: messages reach callers and logs, and a value may be somebody's prompt."""
    return type(value).__name__


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
