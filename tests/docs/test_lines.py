"""What the index of integrations says that a user writes is what their pages have them write."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
INDEX = DOCS / "integrations" / "index.md"
MOST = 15
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_COUNTED = re.compile(r"^<!-- not counted: .+ -->\n```.*?^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| .* \| \[.*?\]\(([\w./-]+)\) \| (\d+) \|$", re.MULTILINE)


def listed() -> list[tuple[Path, int]]:
    """Pages of the index's table, and the lines that it says."""
    text = INDEX.read_text(encoding="utf-8")
    return [((INDEX.parent / page).resolve(), int(n)) for page, n in _ROW.findall(text)]


def written(language: str, block: str) -> int:
    """Lines of a block that a user writes: commands without their output, code without comments."""
    lines = [line for line in block.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    if language == "console":
        lines = [line for line in lines if line.startswith("$ ")]
    return len(lines)


def most(page: Path) -> int:
    """Lines of a page's longest section, but for blocks that say why they are not counted."""
    text = _NOT_COUNTED.sub("", page.read_text(encoding="utf-8"))
    sections, lines = 0, Counter[int]()
    for found in re.finditer(rf"{_BLOCK.pattern}|^## ", text, re.MULTILINE | re.DOTALL):
        if found[1]:
            lines[sections] += written(found[1], found[2])
        else:
            sections += 1
    return max(lines.values())


def test_every_page_is_listed() -> None:
    there = set((DOCS / "integrations").glob("*.md")) - {INDEX}
    assert there <= {page for page, _ in listed()}


@pytest.mark.parametrize(("page", "lines"), listed(), ids=lambda value: getattr(value, "stem", ""))
def test_a_user_writes_so_many_lines(page: Path, lines: int) -> None:
    assert most(page) == lines <= MOST
