"""Takes the pictures of pages that the docs show: ``python -m tools.docs.screenshots FOLDER``.

The first notebook is run on the samples; its page, its report, the difference of two routers and
all runs in a real MLflow server on loopback are opened in headless Chromium. Where there is no
Chromium it says so, and the pictures that are committed stay. ``docs/images/screens`` as the folder
renews those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.serving.redis_server import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT: Final = Path(__file__).parents[2]
NOTEBOOK: Final = ROOT / "notebooks" / "00_from_export_to_router.ipynb"
DESKTOP: Final = (1280, 800)
PHONE: Final = (360, 640)
SERVER_S: Final = 180
WAIT_MS: Final = 120_000
SETTLE_MS: Final = 1_500
"""Charts draw themselves after their text is there."""
RUNS: Final = {"constants": ("constant", 0.5), "neighbours": ("knn", 0.2)}
"""Routers beside the notebook's own: the estimator they are learned with, and their budget."""
PICTURES: Final = (
    "notebook.png",
    "report.png",
    "report-phone.png",
    "diff.png",
    "mlflow.png",
)


def chromium() -> str | None:
    """Its program, if there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def take(folder: Path, *, browser: str) -> None:
    """Write every picture to ``folder``.

    Raises
    ------
    RuntimeError
        If the notebook or the server fails, or a page lacks what it is to show.
    """
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        pages = _pages(work)
        with _mlflow_server(work) as address, sync_playwright() as playwright:
            chrome = playwright.chromium.launch(
                executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
            )
            for picture, size, path, shown in (
                ("notebook.png", DESKTOP, pages["notebook"], "Is there anything to learn?"),
                ("report.png", DESKTOP, pages["report"], "beside today"),
                ("report-phone.png", PHONE, pages["report"], "beside today"),
                ("diff.png", DESKTOP, pages["diff"], "What moves"),
            ):
                page = _opened(chrome, size, path.as_uri(), shown)
                if picture == "notebook.png":
                    page.get_by_text(shown).first.evaluate("heading => heading.scrollIntoView()")
                page.screenshot(path=folder / picture)
                page.close()
            _mlflow_picture(chrome, address, folder / "mlflow.png", pages["store"])
            chrome.close()
    for picture in PICTURES:
        _small(folder / picture)


def _small(path: Path) -> None:
    """A picture in 128 colours: a third of its bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(128)
    small.save(path, optimize=True)


def _pages(work: Path) -> dict[str, Path]:
    """The notebook as HTML, its report, a difference, and the store of all runs."""
    os.environ |= {
        "ROUTER_NOTEBOOK_SMALL": "1",
        "ROUTER_NOTEBOOK_OUTPUT": str(work),
        "ROUTER_ML_CACHE": os.environ.get("ROUTER_ML_CACHE", str(ROOT / ".cache")),
        "MLFLOW_TRACKING_URI": f"sqlite:///{work}/mlflow.db",
        "ROUTER_ML_QUIET": "1",
    }
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    import router_ml as rm
    from pipelines.config import DiffConfig
    from pipelines.stages import diff

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    html, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    (work / "notebook.html").write_text(html, encoding="utf-8")
    log = rm.read_log(mapping=work / "mapping.yaml")
    for name, (estimator, share) in RUNS.items():
        policy = rm.Budget(cost_share=share)
        router = rm.fit(log, estimator=estimator, policy=policy, output=work / name)
        router.log_to_mlflow()
        shutil.copytree(log.folder, work / name / "joined", dirs_exist_ok=True)
    diff.run(
        DiffConfig(
            old=str(work / "constants"), new=str(work / "neighbours"), output=work / "diff.html"
        )
    )
    return {
        "notebook": work / "notebook.html",
        "report": work / "report.html",
        "diff": work / "diff.html",
        "store": work / "mlflow.db",
    }


@contextmanager
def _mlflow_server(work: Path) -> Iterator[str]:
    """MLflow's own server over the store; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--workers", "1", "--backend-store-uri", f"sqlite:///{work}/mlflow.db"],
        cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + SERVER_S
        while True:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"MLflow's server did not answer at {address}")
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _mlflow_picture(chrome: Browser, address: str, path: Path, store: Path) -> None:
    """All runs by their headline: hull gain, and quality at today's cost."""
    from mlflow.tracking import MlflowClient

    experiment = MlflowClient(f"sqlite:///{store}").get_experiment_by_name("router")
    if experiment is None:
        raise RuntimeError("the runs are in no experiment named router")
    charts = f"{address}/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART"
    page = _opened(chrome, DESKTOP, charts, "Training runs")
    # MLflow greets whom it has not seen, sooner or later, or not at all.
    page.add_locator_handler(
        page.get_by_label("Close", exact=True).filter(visible=True).first,
        lambda close: close.click(),
    )
    page.get_by_placeholder("Search metric charts").fill("headline/(hull_gain|quality_at)")
    page.get_by_text("headline/hull").first.wait_for()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)


def _opened(chrome: Browser, size: tuple[int, int], address: str, shown: str) -> Page:
    """A page that shows a text, and fetches from nowhere but loopback."""
    page = chrome.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(WAIT_MS)
    page.route(
        lambda url: not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")),
        lambda route: route.abort(),
    )
    page.goto(address)
    try:
        page.get_by_text(shown).first.wait_for()
    except Exception as error:
        raise RuntimeError(f"{address} does not show {shown!r}: {error}") from error
    page.wait_for_timeout(SETTLE_MS)
    return page


def main() -> None:
    """Run from the command line."""
    folder = Path(sys.argv[1])
    found = chromium()
    if found is None:
        sys.stdout.write(f"no Chromium here: {folder} keeps the pictures that are committed\n")
        return
    take(folder, browser=found)
    sys.stdout.write(f"{len(PICTURES)} pictures of pages in {folder}\n")


if __name__ == "__main__":
    main()
