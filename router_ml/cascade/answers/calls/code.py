"""Tool calls out of code: ``[f(x=1), g(y='a')]`` and other Python that names functions.

Python's own parser reads them. What models write for Java or JavaScript tools is Python as well,
as far as calls go.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from router_ml.cascade.answers.calls.call import MAX_DEPTH, Call, ParsedCalls, Unparsed, tame
from router_ml.cascade.answers.calls.objects import calls_in

FENCE: Final = re.compile(r"```(?:\w+)?\s*(.*?)```", re.DOTALL)
_CALL_HEAD: Final = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*+\s*+\(")
_MAX_LINES: Final = 40


def code_calls(source: str, *, explicit: bool = False) -> ParsedCalls:
    """Calls of an answer written as code: all of it, what a fence holds, or lines between prose.

    ``explicit``, for dictionaries: as :func:`router_ml.cascade.answers.calls.objects.calls_in`.

    Examples
    --------
    >>> code_calls("[f(x=1, y='a')]").calls[0].arguments
    {'x': 1, 'y': 'a'}
    >>> code_calls("I would call f (but not now).").calls
    ()
    """
    if (found := _whole(source, explicit, clean=True)) is not None:
        return found
    fence = FENCE.search(source)
    if (
        fence is not None
        and (found := _whole(fence.group(1).strip(), explicit, clean=False)) is not None
    ):
        return found
    return ParsedCalls(tuple(_on_lines(source, explicit)), code=True)


def _whole(source: str, explicit: bool, *, clean: bool) -> ParsedCalls | None:
    """All of a text as calls, or None; a dictionary is an object rather than code."""
    node = _expression(source)
    if node is None:
        return None
    calls = tuple(_from_node(node, 0, explicit))
    return ParsedCalls(calls, clean, not isinstance(_first(node), ast.Dict)) if calls else None


def _on_lines(source: str, explicit: bool) -> list[Call]:
    """Calls that stand on lines of their own between prose."""
    calls: list[Call] = []
    for line in source.splitlines()[:_MAX_LINES]:
        if _CALL_HEAD.search(line) and (node := _expression(line.strip())) is not None:
            calls.extend(_from_node(node, 0, explicit))
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


def _from_node(node: ast.expr, depth: int, explicit: bool) -> list[Call]:
    if depth > MAX_DEPTH:
        return []
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [call for item in node.elts for call in _from_node(item, depth + 1, explicit)]
    if isinstance(node, ast.Call):
        arguments = {k.arg: _literal(k.value) for k in node.keywords if k.arg is not None}
        return [Call(_name(node.func), arguments, len(node.args))]
    if isinstance(node, ast.Dict):
        return list(calls_in(_literal(node), explicit=explicit))
    return []


def _name(node: ast.expr) -> str:
    """``a.b.c`` as written; ``ast.unparse`` says the same, some hundred times slower."""
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        return ".".join([inner.id, *reversed(parts)])
    return ast.unparse(node)


def _literal(node: ast.expr) -> Any:
    try:
        return tame(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return Unparsed(ast.unparse(node))
    except (ValueError, RecursionError):
        return Unparsed("")
