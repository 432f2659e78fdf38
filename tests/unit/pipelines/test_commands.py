"""What keeps a gateway from starting is said before LiteLLM is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import commands
from pipelines.config import GatewayConfig
from router_ml.errors import BundleError, ConfigError

ONE = "candidates: {small: {model: openai/small, api_key: os.environ/A_KEY_OF_TESTS}}"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been started, in a folder with a catalogue."""
    monkeypatch.chdir(tmp_path)
    Path("catalogue.yaml").write_text(ONE)
    found: list[Any] = []
    monkeypatch.setattr("os.execvp", lambda *given: found.append(given))
    for name in ("LITELLM_MASTER_KEY", "A_KEY_OF_TESTS"):
        monkeypatch.setenv(name, "sk")
    for name in ("ROUTER_GATEWAY_SETTINGS", "LITELLM_LOCAL_MODEL_COST_MAP"):
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    return found


def config(**given: Any) -> GatewayConfig:
    return GatewayConfig(catalogue=Path("catalogue.yaml"), litellm=sys.executable, **given)


def test_a_gateway_starts(started: list[Any]) -> None:
    commands.gateway(config(router="http://127.0.0.1:9"))
    assert started[0][0] == sys.executable


@pytest.mark.parametrize("name", ["LITELLM_MASTER_KEY", "A_KEY_OF_TESTS"])
def test_a_variable_that_is_not_set_is_named(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=name):
        commands.gateway(config())
    assert not started


def test_a_bundle_that_is_none_is_named(started: list[Any]) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        commands.gateway(config(router="nowhere"))
    assert not started
