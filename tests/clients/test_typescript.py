"""The TypeScript client: generated, compiled, and run by Node against a real service."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.serving.conftest import ROOT, serve
from tools.openapi import document

FOLDER = ROOT / "clients" / "typescript"
KEY = "a-key"


def run(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, built in a copy of its folder."""
    if shutil.which("npm") is None and "CI" not in os.environ:
        pytest.skip("npm is not installed: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("client") / "typescript"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "openapi.json").write_text(document(), encoding="utf-8")
    run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    run("npm", "run", "build", cwd=folder)
    return folder


def test_the_client_works_with_the_service_and_without(built: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    settings = {"bundle": tmp_path / "bundle", "decision_log": tmp_path / "decisions"}
    with serve(tmp_path / "log", api_keys=KEY, **settings) as client:
        url = str(client.base_url)
        run("node", "--test", "dist/test/client.test.js", cwd=built, ROUTER_URL=url, ROUTER_KEY=KEY)


def test_the_page_of_the_client_runs(built: Path, tmp_path: Path) -> None:
    """What the how-to page shows is compiled against the client, and decides."""
    page = (ROOT / "docs" / "how-to" / "ask-from-typescript.md").read_text(encoding="utf-8")
    shown = page.partition("```ts\n")[2].partition("```")[0]
    assert 0 < len([line for line in shown.splitlines() if line.strip()]) <= 15
    (built / "test" / "page.ts").write_text(
        shown.replace('"router-ml-client"', '"../src/index.js"')
    )
    run("npx", "tsc", cwd=built)
    make_bundle(tmp_path / "bundle")
    with serve(tmp_path / "log", bundle=tmp_path / "bundle") as client:
        done = run("node", "dist/test/page.js", cwd=built, ROUTER_URL=str(client.base_url))
    assert done.stdout.startswith("router candidate-")
    done = run("node", "dist/test/page.js", cwd=built, ROUTER_URL="http://127.0.0.1:9")
    assert done.stdout.startswith("fallback gpt-4o-mini")
