"""What pages show is what their commands print: how-to pages run in order, in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.docs.examples import commands, differs, run

DOCS = Path(__file__).parents[2] / "docs"
STATIC = sorted((DOCS / "concepts").glob("*.md"))


def pages_in_order() -> list[Path]:
    """How-to pages as their index lists them."""
    index = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    names = re.findall(r"\]\(([\w-]+\.md)\)", index)
    return [DOCS / "how-to" / name for name in names]


@pytest.fixture(scope="module")
def folder(encoder_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("how-to")
    (work / ".cache").symlink_to(encoder_cache)
    return work


def test_every_how_to_page_is_listed() -> None:
    there = {path for path in (DOCS / "how-to").glob("*.md") if path.stem != "index"}
    assert set(pages_in_order()) == there


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_in_order(), ids=lambda page: page.stem)
def test_how_to(page: Path, folder: Path) -> None:
    check(page, folder)


@pytest.mark.parametrize("page", STATIC, ids=lambda page: page.stem)
def test_concept(page: Path, tmp_path: Path) -> None:
    check(page, tmp_path)


def check(page: Path, folder: Path) -> None:
    wanted = commands(page.read_text(encoding="utf-8"))
    if not wanted:
        return
    printed = run(page, folder)
    assert len(printed) == len(wanted), printed[-1:]
    for command, out in zip(wanted, printed, strict=True):
        assert differs(command.shown, out) == "", command.text
