"""Tool calls out of an answer's text, in whatever notation it was written.

Models write calls as Python (``[f(x=1), g(y='a')]``), as JSON objects
(``[{"name": "f", "arguments": {...}}]``, OpenAI's ``tool_calls`` among them), or as one-key objects
(``[{"f": "{...}"}]``). All become the same :class:`Call`, so that answers can be compared.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_CHARS: Final = 8000
"""Longer answers are prose; parsing them as one expression would only cost time."""
_MAX_DEPTH: Final = 8
_MAX_BITS: Final = 1000
_FENCE: Final = re.compile(r"```(?:\w+)?\s*(.*?)```", re.DOTALL)
_CALL_HEAD: Final = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*+\s*+\(")
_NAME_SIGNS: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call.

    Parameters
    ----------
    name : as written
    arguments : by parameter name; a value that is no literal is an :class:`Unparsed`
    positional : number of arguments given without a name
    """

    name: str
    arguments: Mapping[str, Any]
    positional: int = 0


class Unparsed(str):
    """Source text of an argument that is an expression and no literal."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ParsedCalls:
    """Calls of one answer.

    Parameters
    ----------
    calls : in the order written
    clean : whether the answer was nothing but calls
    python : whether they were written as Python rather than JSON
    """

    calls: tuple[Call, ...] = ()
    clean: bool = False
    python: bool = False


def normal_name(name: str) -> str:
    """Function names are compared without case and separators: ``a.b_c`` is ``abc``."""
    return _NAME_SIGNS.sub("", name.lower())


def parse_calls(text: str) -> ParsedCalls:
    r"""Find the tool calls of an answer; none is a valid outcome, never an error.

    Examples
    --------
    >>> parse_calls("[f(x=1, y='a')]").calls[0].arguments
    {'x': 1, 'y': 'a'}
    >>> parse_calls('[{"name": "f", "arguments": {"x": 1}}]').calls[0]
    Call(name='f', arguments={'x': 1}, positional=0)
    >>> parse_calls("I can't do that.").calls
    ()
    """
    source = text.strip()
    if not source or len(source) > MAX_CHARS or not ("(" in source or "{" in source):
        return ParsedCalls()
    found = _parse_whole(source)
    if found is not None:
        return found
    fence = _FENCE.search(source)
    if fence is not None and (found := _parse_whole(fence.group(1).strip())) is not None:
        return ParsedCalls(found.calls, False, found.python)
    return ParsedCalls(tuple(_parse_lines(source)), False, True)


def _parse_whole(source: str) -> ParsedCalls | None:
    """All of a text as calls, or None."""
    if source[:1] in "[{" and '"' in source:
        calls = _from_json(_loads(source))
        if calls:
            return ParsedCalls(calls, True, False)
    node = _expression(source)
    if node is None:
        return None
    calls = tuple(_from_node(node, 0))
    return ParsedCalls(calls, True, not isinstance(_first(node), ast.Dict)) if calls else None


def _parse_lines(source: str) -> list[Call]:
    """Calls that stand on lines of their own between prose."""
    calls: list[Call] = []
    for line in source.splitlines()[:40]:
        if _CALL_HEAD.search(line) and (node := _expression(line.strip())) is not None:
            calls.extend(_from_node(node, 0))
    return calls


def _expression(source: str) -> ast.expr | None:
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _first(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.List | ast.Tuple) and node.elts:
        node = node.elts[0]
    return node


def _from_node(node: ast.expr, depth: int) -> list[Call]:
    if depth > _MAX_DEPTH:
        return []
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [call for item in node.elts for call in _from_node(item, depth + 1)]
    if isinstance(node, ast.Call):
        arguments = {k.arg: _literal(k.value) for k in node.keywords if k.arg is not None}
        return [Call(ast.unparse(node.func), arguments, len(node.args))]
    if isinstance(node, ast.Dict):
        return list(_from_json(_literal(node)))
    return []


def _literal(node: ast.expr) -> Any:
    try:
        return _tame(ast.literal_eval(node), 0)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return Unparsed(ast.unparse(node))
    except (ValueError, RecursionError):
        return Unparsed("")


def _from_json(value: object) -> tuple[Call, ...]:
    """Calls in parsed JSON: one object, a list of them, or OpenAI's ``tool_calls``."""
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), Sequence):
        value = value["tool_calls"]
    items = value if isinstance(value, list | tuple) else [value]
    calls = [call for item in items if (call := _from_object(item)) is not None]
    return tuple(calls)


def _from_object(item: object) -> Call | None:
    if not isinstance(item, Mapping):
        return None
    inner = item.get("function")
    if isinstance(inner, Mapping):
        item = inner
    name = item.get("name") or item.get("function")
    if isinstance(name, str):
        for key in ("arguments", "parameters", "input", "args"):
            if key in item:
                return Call(name, _arguments(item[key]))
        return Call(name, {})
    if len(item) == 1:
        name, value = next(iter(item.items()))
        arguments = _arguments(value)
        return Call(str(name), arguments) if arguments or value in ("{}", {}) else None
    return None


def _arguments(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = _loads(value)
    if not isinstance(value, Mapping):
        return {}
    return {str(key): _tame(item, 0) for key, item in value.items()}


def _tame(value: Any, depth: int) -> Any:
    """Cut what is nested too deep or too big a number for a float."""
    if depth > _MAX_DEPTH:
        return Unparsed("")
    if isinstance(value, Mapping):
        return {str(key): _tame(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_tame(item, depth + 1) for item in value]
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return Unparsed("")
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _loads(source: str) -> Any:
    try:
        return json.loads(source)
    except (ValueError, RecursionError):
        return None
