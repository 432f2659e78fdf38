"""The tools on offer in a request: their descriptions, and what is derived from them once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from router_ml.errors import InvalidRequestError

MAX_TOOLS_CHARS: Final = 3000

_SPLIT: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_MAX_DEPTH: Final = 6


class ToolList(tuple[Mapping[str, Any], ...]):
    """Function descriptions, one mapping each (``name``, ``description``, ``parameters``).

    An application sends the same tools again and again, so what features need of them is worked
    out once a list.

    Examples
    --------
    >>> ToolList([{"name": "mix", "description": "Mix two colours."}]).text
    'mix: Mix two colours.'
    """

    @cached_property
    def text(self) -> str:
        """Names and descriptions, capped; parameters are left to :attr:`counts`."""
        parts: list[str] = []
        room = MAX_TOOLS_CHARS
        for tool in self:
            part = f"{tool.get('name', '')}: {tool.get('description', '')}"
            parts.append(part[:room])
            room -= len(part) + 1
            if room <= 0:
                break
        return "\n".join(parts)

    @cached_property
    def counts(self) -> ToolCounts:
        """Counts over all of them."""
        counts = ToolCounts()
        for tool in self:
            counts.add(tool)
        return counts


class ToolCounts:
    """Running counts over tool descriptions."""

    def __init__(self) -> None:
        self.chars = self.parameters = self.required = self.enum_values = self.nested = 0
        self.names: list[set[str]] = []

    def add(self, tool: Mapping[str, Any]) -> None:
        """Count one more."""
        name, description = str(tool.get("name", "")), str(tool.get("description", ""))
        self.chars += len(name) + len(description)
        self.names.append({w.lower() for w in _SPLIT.split(name) if w})
        self._schema(tool.get("parameters"), 0)

    def _schema(self, schema: object, depth: int) -> None:
        # `dict`, because a check against the abstract Mapping is slow and JSON gives nothing else
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return
        properties = schema.get("properties")
        if isinstance(properties, dict):
            self.parameters += len(properties)
            self.nested += depth > 0
            for key, value in properties.items():
                self.chars += len(str(key))
                if isinstance(value, dict):
                    self.chars += len(str(value.get("description", "")))
                    enum = value.get("enum")
                    self.enum_values += len(enum) if isinstance(enum, list) else 0
                    self._schema(value, depth + 1)
        required = schema.get("required")
        self.required += len(required) if isinstance(required, list) else 0
        self._schema(schema.get("items"), depth + 1)

    def overlap(self, said: set[str]) -> float:
        """Share of the best matching tool name's words that the ask contains."""
        return max((len(name & said) / len(name) for name in self.names if name), default=0.0)


def json_type(value: object) -> str:
    """What JSON calls a value: messages reach callers and logs, and it may be somebody's prompt.

    Examples
    --------
    >>> json_type(None), json_type({}), json_type(1.5), json_type("a")
    ('null', 'an object', 'a number', 'a string')
    """
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return names.get(type(value), type(value).__name__)


def parse_tools(tools: object) -> ToolList:
    """Bare function descriptions of one tool or a list of tools.

    Parameters
    ----------
    tools : each bare, OpenAI-style (``{"type": "function", "function": {...}}``) or
        Anthropic-style (``input_schema``); ``None`` = no tools

    Raises
    ------
    InvalidRequestError
        If a tool is not of these shapes; the text names its position.
    """
    if isinstance(tools, ToolList):
        return tools
    if tools is None or tools == "":
        return ToolList()
    if isinstance(tools, Mapping):
        tools = [tools]
    if isinstance(tools, str) or not isinstance(tools, Sequence):
        raise InvalidRequestError(f"tools must be a list of objects, got {json_type(tools)}")
    bare = []
    for position, tool in enumerate(_one_by_one(tools)):
        function = tool.get("function", tool) if isinstance(tool, Mapping) else tool
        if not isinstance(function, Mapping):
            where = f"tools[{position}]" + (".function" if isinstance(tool, Mapping) else "")
            raise InvalidRequestError(f"{where} must be an object, got {json_type(function)}")
        if "parameters" not in function and "input_schema" in function:
            function = {**function, "parameters": function["input_schema"]}
        bare.append(function)
    return ToolList(bare)


def _one_by_one(tools: Sequence[Any]) -> list[Any]:
    """Gemini puts several function declarations into one tool."""
    found: list[Any] = []
    for tool in tools:
        group = None
        if isinstance(tool, Mapping):
            group = tool.get("functionDeclarations", tool.get("function_declarations"))
        found += group if isinstance(group, list) else [tool]
    return found
