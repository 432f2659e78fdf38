"""LiteLLM's configuration out of a catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from router_ml.errors import ConfigError
from router_ml.integrations.litellm.catalogue import Candidate, Catalogue
from router_ml.integrations.litellm.proxy_config import (
    SETTINGS_VARIABLE,
    GatewaySettings,
    write_gateway,
)

CATALOGUE = Catalogue(
    (Candidate(name="a", model="openai/a"), Candidate(name="b", model="anthropic/b")), "b"
)


def settings(router: str) -> GatewaySettings:
    return GatewaySettings(router=router, candidates=("a", "b"), default="b", log="log.jsonl")


def test_auto_is_the_default_candidate_until_the_router_says_else(tmp_path: Path) -> None:
    path, variables = write_gateway(tmp_path / "gateway", CATALOGUE, settings("http://r:8080"))
    config = yaml.safe_load(path.read_text())
    groups = {entry["model_name"]: entry["litellm_params"] for entry in config["model_list"]}
    assert set(groups) == {"a", "b", "auto", "auto-cascade"}
    assert groups["auto"] == groups["b"]
    assert config["router_settings"]["fallbacks"] == [{"auto": ["a"]}]
    assert GatewaySettings.read(Path(variables[SETTINGS_VARIABLE])) == settings("http://r:8080")
    assert json.loads((path.parent / "prices.json").read_text()) == {}


def test_without_a_router_there_is_no_cascade(tmp_path: Path) -> None:
    path, _ = write_gateway(tmp_path, CATALOGUE, settings(""))
    config = yaml.safe_load(path.read_text())
    assert "custom_provider_map" not in config["litellm_settings"]
    assert "auto-cascade" not in {entry["model_name"] for entry in config["model_list"]}


def test_no_key_stands_in_a_file(tmp_path: Path) -> None:
    keyed = Candidate(name="a", model="openai/a", api_key="os.environ/OPENAI_API_KEY")
    path, _ = write_gateway(tmp_path, Catalogue((keyed,), "a"), settings(""))
    config = yaml.safe_load(path.read_text())
    assert config["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    assert config["model_list"][0]["litellm_params"]["api_key"] == "os.environ/OPENAI_API_KEY"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_gateway(tmp_path / "file", CATALOGUE, settings(""))
