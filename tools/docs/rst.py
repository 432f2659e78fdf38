"""Docstring text to Markdown: roles, equations, references, literal blocks."""

from __future__ import annotations

import re
from typing import Final

_EQUATION: Final = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +\S.*| *(?=\n)))*)", re.MULTILINE)
_ROLE: Final = re.compile(r":(\w+):`~?([^`]+)`")
_CITATION: Final = re.compile(r"^\.\. \[(\d+)\] (.*(?:\n +\S.*)*)", re.MULTILINE)
_CITED: Final = re.compile(r"\[(\d+)\]_")
_LITERAL: Final = re.compile(r"^(.*?)::\n\n((?: {4,}.*\n|\n)+)", re.MULTILINE)
_PROTECTED: Final = str.maketrans({"*": "&#42;", "_": "&#95;", "|": "&#124;", "\n": " "})


def to_markdown(text: str, *, known: frozenset[str] = frozenset(), scope: str = "") -> str:
    """Markdown of a docstring's text.

    Parameters
    ----------
    known : full names that a page of the site documents; roles that name one become links
    scope : full name of the object that the text belongs to, which short names start from

    Examples
    --------
    >>> to_markdown("See :class:`~a.B` and ``c``.")
    'See `B` and ``c``.'
    >>> to_markdown("See :meth:`fit`.", known=frozenset({"a.B.fit"}), scope="a.B")
    'See [`fit`][a.B.fit].'
    """
    text = _LITERAL.sub(_literal, text + "\n")
    text = _EQUATION.sub(lambda m: f"{m[1]}{mathml(m[2], display=True)}\n", text)
    text = _ROLE.sub(lambda m: _role(m[1], m[2], m[0], known, scope), text)
    text = _CITATION.sub(lambda m: f"\\[{m[1]}\\] {' '.join(m[2].split())}\n", text)
    return _CITED.sub(r"\\[\1\\]", text).strip("\n")


def equations(page: str) -> str:
    """Equations of a page, ``$`x`$`` and ``$$x$$`` on lines of their own, as MathML.

    Examples
    --------
    >>> equations("a $`x`$")[:11]
    'a <math xml'
    """
    page = re.sub(r"^\$\$(.+?)\$\$$", lambda m: mathml(m[1], display=True), page, flags=re.M | re.S)
    return re.sub(r"\$`([^`]+)`\$", lambda m: mathml(m[1]), page)


def mathml(latex: str, *, display: bool = False) -> str:
    """An equation as MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    markup: str = convert(" ".join(latex.split()), display="block" if display else "inline")
    return markup.translate(_PROTECTED)


def _role(role: str, target: str, whole: str, known: frozenset[str], scope: str) -> str:
    if role == "math":
        return mathml(target)
    name = target.rpartition(".")[2] if whole.partition("`")[2].startswith("~") else target
    parts = scope.split(".")
    places = [".".join([*parts[:end], target]) for end in range(len(parts), -1, -1)]
    for full in places:
        if full in known:
            return f"[`{name}`][{full}]"
    return f"`{name}`"


def _literal(match: re.Match[str]) -> str:
    said = f"{match[1]}:" if match[1].strip() else ""
    body = "\n".join(line[4:] for line in match[2].rstrip().splitlines())
    return f"{said}\n\n```text\n{body}\n```\n"
