"""The pages about LiteLLM, as a user follows them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from router_ml.integrations.litellm.catalogue import Catalogue
from tests.litellm.conftest import KEY, ROOT, Providers
from tools.docs.examples import commands, differs, run

PAGES = ROOT / "docs" / "integrations"


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page", ["gateway.md", "providers.md", "empty-proxy.md", "mlflow-gateway.md"]
)
def test_catalogues_of_pages_can_be_read(page: str, tmp_path: Path) -> None:
    found = [text for text in blocks(page, "yaml") if "candidates:" in text]
    assert found
    for text in found:
        (tmp_path / "catalogue.yaml").write_text(text)
        assert len(Catalogue.read(tmp_path / "catalogue.yaml").names) > 1


def test_configurations_of_pages_are_yaml() -> None:
    [config, *_] = [yaml.safe_load(text) for text in blocks("litellm.md", "yaml")]
    assert config["litellm_settings"]["callbacks"] == ["routing.hook"]


@pytest.mark.slow
def test_from_an_empty_proxy_to_a_promoted_router(
    python: Path,
    providers: Providers,
    encoder_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / ".cache").symlink_to(encoder_cache)
    follow("empty-proxy.md", python, providers, tmp_path, monkeypatch)


def follow(
    name: str, python: Path, providers: Providers, folder: Path, patch: pytest.MonkeyPatch
) -> None:
    """Run a page's commands in ``folder``, beside its catalogue; they print what it shows."""
    page = PAGES / name
    (folder / ".venv-litellm").symlink_to(python.parents[1])
    (folder / "catalogue.yaml").write_text(blocks(name, "yaml")[0])
    for variable, value in {
        "PROVIDER_URL": f"{providers.url}/v1",
        "PROVIDER_KEY": "sk-mock",
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }.items():
        patch.setenv(variable, value)
    patch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    wanted = commands(page.read_text(encoding="utf-8"))
    printed = run(page, folder)
    assert len(printed) == len(wanted), printed[-1:]
    for command, out in zip(wanted, printed, strict=True):
        assert differs(command.shown, out) == "", command.text
