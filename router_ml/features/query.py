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
from router_ml.features.tools import ToolList, json_type, parse_tools
from router_ml.types.content import least_tokens, part_needs

MAX_ASK_CHARS: Final = 4000
MAX_PRIOR_CHARS: Final = 1000

_HUMAN_ROLES: Final = frozenset({"user", "human"})
_TOOL_ROLES: Final = frozenset({"tool", "function"})
_TOOLS: Final = frozenset({"tools"})
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
    needs : capabilities without which a candidate cannot answer, such as ``vision`` or ``tools``
    least_tokens : a lower bound of the tokens of all messages, 0 for short ones

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
    needs: frozenset[str] = frozenset()
    least_tokens: int = 0

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
        offered = parse_tools(tools)
        return Query(
            ask,
            tools=offered,
            history_chars=len(messages),
            needs=_TOOLS if offered else frozenset(),
            least_tokens=least_tokens([messages]),
        )
    if not isinstance(messages, Sequence):
        raise InvalidRequestError(
            f"messages must be a list of {{role, content}}, got {json_type(messages)}"
        )
    asks: list[str] = []
    content = _Content()
    for position, message in enumerate(messages):
        if isinstance(message, Mapping) and _is_step(message):
            content.step(message)
            continue
        if not isinstance(message, Mapping):
            raise InvalidRequestError(
                f"messages[{position}] must be an object with a role, got {json_type(message)}"
            )
        if not isinstance(message.get("role"), str):
            given = json_type(message["role"]) if "role" in message else "nothing"
            raise InvalidRequestError(f"messages[{position}].role must be a string, got {given}")
        text = content.read(message.get("content"), position)
        if message["role"] in _TOOL_ROLES or message.get("tool_calls"):
            content.needs.add("tools")
        if message.get("images"):
            content.needs.add("vision")
        if message["role"] in _HUMAN_ROLES and (ask := strip_harness(text)):
            asks.append(ask)
    offered = parse_tools(tools)
    return Query(
        ask=asks[-1] if asks else "",
        prior=asks[-2] if len(asks) > 1 else "",
        tools=offered,
        history_chars=content.chars,
        n_turns=len(asks),
        needs=frozenset(content.needs) | _TOOLS if offered else frozenset(content.needs),
        least_tokens=least_tokens(content.texts),
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


class _Content:
    """What all messages hold together."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.needs: set[str] = set()

    @property
    def chars(self) -> int:
        """Characters of all texts."""
        return sum(map(len, self.texts))

    def step(self, step: Mapping[Any, Any]) -> None:
        """Take in a call's arguments, or its result."""
        self.needs.add("tools")
        texts = (step.get(key) for key in ("arguments", "output", "content"))
        self.texts += [text for text in texts if isinstance(text, str)]

    def read(self, content: object, position: int) -> str:
        """Take in one message's content; the text in it that its author wrote."""
        if content is None:
            return ""
        if isinstance(content, str):
            self.texts.append(content)
            return content
        if not isinstance(content, Sequence):
            raise InvalidRequestError(
                f"messages[{position}].content must be a string or a list of parts, "
                f"got {json_type(content)}"
            )
        own: list[str] = []
        for part in content:
            if isinstance(part, str):
                part = {"type": "text", "text": part}
            if not isinstance(part, Mapping):
                raise InvalidRequestError(
                    f"messages[{position}].content has a part that is no object: {json_type(part)}"
                )
            kind = part.get("type", "text")
            # OpenTelemetry's parts keep their text under `content`.
            text = part.get("text", part.get("content"))
            if isinstance(kind, str) and kind in _TEXT_PARTS and isinstance(text, str):
                own.append(text)
                self.texts.append(text)
            elif (need := part_needs(part)) is not None:
                self.needs.add(need)
            elif "content" in part:
                self.read(part["content"], position)
        return "\n".join(own)


def _cap(text: str, limit: int) -> str:
    """Head and tail of a long text: questions stand at either end of a pasted document."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail - 1]}\n{text[-tail:]}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
