"""A router's report and the difference of two, opened in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import router_ml as rm
from pipelines.config import DiffConfig
from pipelines.stages import diff
from router_ml.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MAX_BYTES = 3_000_000
MIN_PICTURE = 200
WIDTH = 360


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two routers of one log, each with its folders, and an evaluation of the first."""
    root = tmp_path_factory.mktemp("reports")
    log = rm.sample_log()
    found = {}
    for name, share in (("dear", 0.25), ("cheap", 0.05)):
        folder = root / name
        router = rm.fit(log, estimator="linear", policy=rm.Budget(cost_share=share), output=folder)
        shutil.copytree(log.folder, folder / "joined")
        found[name] = folder
        if name == "dear":
            found["report"] = rm.evaluate(router).report(root / "report.html")
    found["diff"] = root / "diff.html"
    return found


def _listen(page: Page, messages: list[str], requests: list[str]) -> None:
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))


@pytest.fixture(scope="module")
def seen(runs: dict[str, Path]) -> dict[str, dict[str, object]]:
    """What a browser made of both pages at the width of a phone."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; CI installs it")
    from playwright.sync_api import sync_playwright

    config = DiffConfig(
        old=str(runs["dear"]), new=str(runs["cheap"]), output=runs["diff"], examples=3
    )
    diff.run(config)
    found: dict[str, dict[str, object]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for name in ("report", "diff"):
            page = browser.new_page(viewport={"width": WIDTH, "height": 740})
            messages: list[str] = []
            requests: list[str] = []
            _listen(page, messages, requests)
            page.goto(runs[name].as_uri())
            found[name] = {
                "messages": messages,
                "requests": requests,
                "text": page.inner_text("body"),
                "width": page.evaluate("document.documentElement.scrollWidth"),
                "pictures": page.evaluate(
                    "[...document.querySelectorAll('figure svg')].map(s => {"
                    "const r = s.getBoundingClientRect();"
                    "return [r.width, r.height, s.querySelectorAll('path').length]})"
                ),
            }
        browser.close()
    return found


@pytest.mark.parametrize("name", ["report", "diff"])
def test_a_browser_opens_it_without_an_error_or_a_fetch(
    seen: dict[str, dict[str, object]], runs: dict[str, Path], name: str
) -> None:
    assert seen[name]["messages"] == []
    assert seen[name]["requests"] == [runs[name].as_uri()]
    assert seen[name]["width"] == WIDTH  # nothing but tables scrolls sideways
    assert runs[name].stat().st_size < MAX_BYTES


def test_pictures_are_not_empty(seen: dict[str, dict[str, object]]) -> None:
    pictures = seen["report"]["pictures"]
    assert isinstance(pictures, list)
    assert len(pictures) == 2
    for width, height, paths in pictures:
        assert min(width, height) > MIN_PICTURE
        assert paths > 20


def test_the_report_says_what_a_model_card_says(seen: dict[str, dict[str, object]]) -> None:
    text = str(seen["report"]["text"])
    for part in ("beside today", "By task", "worse than today", "hull", "750", "Learned from 600",
                 "How to reproduce", "have no label"):  # fmt: skip
        assert part in text, part


def test_the_difference_says_what_moves_and_what_changed(
    runs: dict[str, Path], seen: dict[str, dict[str, object]]
) -> None:
    found = diff.run(DiffConfig(old=str(runs["dear"]), new=str(runs["cheap"])))
    assert found.cost_ratio is not None
    assert found.cost_ratio < 0.7
    assert found.cost_usd.high < 0
    assert 0.1 < found.moved <= 1.0
    assert sum(after for _, _, after in found.traffic) == pytest.approx(1.0)
    assert "policy" in {name for name, _, _ in found.changes}
    assert found.examples == ()  # no user's text unless asked for
    assert "Requests that change hands" in str(seen["diff"]["text"])
    same = diff.run(DiffConfig(old=str(runs["dear"]), new=str(runs["dear"])))
    assert (same.quality.value, same.changes) == (0.0, ())
    assert same.moved == pytest.approx(0.0)


def test_what_is_no_router_is_said(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an alias such as @champion"):
        diff.run(DiffConfig(old="champion", new=str(runs["dear"])))
    with pytest.raises(ConfigError, match="expected a bundle in"):
        diff.run(DiffConfig(old=str(tmp_path), new=str(runs["dear"])))
