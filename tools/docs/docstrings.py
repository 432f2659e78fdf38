"""griffe extension: docstrings of this project as mkdocstrings wants them.

Types stand in signatures, so ``name : text`` of a *Parameters* section is a meaning and no type.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any, Final

import griffe

from tools.docs.rst import to_markdown

_LOG: Final = logging.getLogger("mkdocs.docstrings")  # strict builds count its warnings
_SECTION: Final = re.compile(
    r"^(?P<head>(?:Parameters|Attributes)\n-+\n)(?P<body>.*?)(?=^\S[^\n]*\n-{3,}$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_FIRST: Final = re.compile(r"^\S[^\n]*\n-{3,}$", re.MULTILINE)
_REFERENCES: Final = re.compile(r"^References\n-+\n(?P<body>.*?)(?=^\S[^\n]*\n-{3,}$|\Z)",
                                re.MULTILINE | re.DOTALL)  # fmt: skip
_ENTRY: Final = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.*)$", re.MULTILINE)


def described(text: str) -> str:
    r"""Meanings of a *Parameters* section on lines of their own.

    Examples
    --------
    >>> described("Parameters\n----------\na, b : ends").splitlines()[2:]
    ['a, b', '    ends']
    """
    return _SECTION.sub(
        lambda m: m["head"] + _ENTRY.sub(lambda e: f"{e[1]}\n    {e[2]}", m["body"]), text
    )


def referenced(text: str) -> str:
    r"""*References*, which griffe has no section for, as a paragraph before the first section.

    Examples
    --------
    >>> referenced("Say.\n\nRaises\n------\nE\n\nReferences\n---\n[1] A").split("\n\n")
    ['Say.', '**References**', '[1] A', 'Raises\n------\nE']
    """
    found = _REFERENCES.search(text)
    if found is None:
        return text
    rest = text[: found.start()] + text[found.end() :]
    first = _FIRST.search(rest)
    at = first.start() if first else len(rest)
    cited = f"**References**\n\n{found['body'].strip()}\n\n"
    return f"{rest[:at].rstrip()}\n\n{cited}{rest[at:]}".rstrip()


class Docstrings(griffe.Extension):
    """Rewrites every docstring once a package is loaded, and warns of public names without one."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Collect the names that can be linked to, then rewrite."""
        shown = [(thing, thing.docstring) for thing in _public(pkg) if thing.docstring]
        pages = frozenset(thing.path for thing, _ in shown if not _is_package(thing))
        for thing, docstring in shown:
            text = referenced(described(docstring.value))
            docstring.value = to_markdown(text, known=pages, scope=thing.path)
        for thing in _public(pkg):
            if thing.docstring is None and not thing.is_attribute:
                _LOG.warning("%s is public and has no docstring", thing.path)


def _public(thing: griffe.Object) -> Iterator[griffe.Object]:
    yield thing
    for member in thing.members.values():
        if isinstance(member, griffe.Object) and not member.name.startswith("_"):
            yield from _public(member)


def _is_package(thing: griffe.Object) -> bool:
    return isinstance(thing, griffe.Module) and thing.is_init_module
