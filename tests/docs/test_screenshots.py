"""Pictures of pages: committed, shown, small, and of something."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tools.docs import screenshots

DOCS = Path(__file__).parents[2] / "docs"
SCREENS = DOCS / "images" / "screens"


def test_every_picture_is_there_and_shown() -> None:
    assert {path.name for path in SCREENS.iterdir()} == set(screenshots.PICTURES)
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "how-to").glob("*.md"))
    for name in screenshots.PICTURES:
        assert f"images/screens/{name})" in text, name


@pytest.mark.parametrize("name", screenshots.PICTURES)
def test_a_picture_shows_a_page(name: str) -> None:
    path = SCREENS / name
    assert path.stat().st_size < 100_000
    with Image.open(path) as picture:
        assert picture.size in (screenshots.DESKTOP, screenshots.PHONE)
        colours = picture.convert("L").getcolors() or []
        most = max(count for count, _ in colours) / (picture.width * picture.height)
    assert most < 0.98  # an empty page is one colour


def test_without_a_browser_it_says_so_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screenshots, "chromium", lambda: None)
    monkeypatch.setattr("sys.argv", ["screenshots", str(tmp_path)])
    screenshots.main()
    assert "no Chromium here" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
