"""One tool call, whatever the notation it came in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_CHARS: Final = 8000
"""Of an answer's text, and of one argument; what is longer is prose, and only costs time."""
MAX_DEPTH: Final = 8
_MAX_BITS: Final = 1000
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
    code : whether they were written as code
    """

    calls: tuple[Call, ...] = ()
    clean: bool = False
    code: bool = False


def normal_name(name: str) -> str:
    """Function names are compared without case and separators: ``a.b_c`` is ``abc``."""
    return _NAME_SIGNS.sub("", name.lower())


def tame(value: Any, depth: int = 0) -> Any:
    """Cut what is nested too deep, too long, or too big a number for a float."""
    if depth > MAX_DEPTH:
        return Unparsed("")
    if isinstance(value, Mapping):
        return {str(key): tame(item, depth + 1) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        # The order of a set of texts differs between processes (PYTHONHASHSEED).
        value = sorted(value, key=repr)
    if isinstance(value, list | tuple):
        return [tame(item, depth + 1) for item in value]
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return Unparsed("")
    if isinstance(value, str):
        return value[:MAX_CHARS]
    return value if isinstance(value, int | float) or value is None else str(value)
