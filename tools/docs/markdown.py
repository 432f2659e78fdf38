"""Tables and headings of generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tools.docs.rst import to_markdown


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A Markdown table; cells hold docstring text.

    Examples
    --------
    >>> print(table(("a", "b"), [("x|y", "")]))
    | a | b |
    | --- | --- |
    | x\|y | – |
    """
    lines = [_line(columns), _line(["---"] * len(columns))]
    lines += [_line([_cell(text) for text in row]) for row in rows]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return to_markdown(" ".join(text.split())).replace("|", "\\|") or "–"
