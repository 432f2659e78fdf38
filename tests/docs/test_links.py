"""Every link of a page resolves, to a file, a generated page or a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.docs.pages import generated

ROOT = Path(__file__).parents[2]
GENERATED = {f"docs/{path}": text for path, text in generated(ROOT).items()}
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    if page in GENERATED:
        return GENERATED[page]
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    slugs = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[-\s]+", "-", slug) for slug in slugs}


@pytest.mark.parametrize("page", [*PAGES, *(name for name in GENERATED if name.endswith(".md"))])
def test_links_resolve(page: str) -> None:
    broken = []
    for target in _LINK.findall(_FENCE.sub("", text_of(page))):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = str((ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT))
        if not path:
            found = page
        there = found in GENERATED or (ROOT / found).exists()
        if not there or (anchor and found.endswith(".md") and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


def test_readme_links_to_every_shelf() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for shelf in ("concepts", "how-to", "reference", "results"):
        assert f"docs/{shelf}/" in readme
