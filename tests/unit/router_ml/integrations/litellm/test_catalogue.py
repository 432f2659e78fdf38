"""Catalogues of a gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_ml.errors import ConfigError
from router_ml.integrations.litellm.catalogue import Candidate, Catalogue

TEXT = """
candidates:
  small: {model: openai/small, input_usd_per_mtok: 0.5, output_usd_per_mtok: 2,
          capabilities: [tools, hosting], region: eu, retention: none, context_window: 8000}
  large@low: {model: openai/large, reasoning_effort: low, output_budget: 100,
              max_output_tokens: 4000, params: {organization: o}}
"""


def read(tmp_path: Path, text: str) -> Catalogue:
    (tmp_path / "catalogue.yaml").write_text(text)
    return Catalogue.read(tmp_path / "catalogue.yaml")


def test_a_candidate_becomes_a_deployment_and_a_price(tmp_path: Path) -> None:
    catalogue = read(tmp_path, TEXT)
    assert catalogue.default == "small"
    small, large = (candidate.deployment() for candidate in catalogue.candidates)
    assert small["litellm_params"] == {
        "model": "openai/small",
        "input_cost_per_token": 0.5e-6,
        "output_cost_per_token": 2e-6,
    }
    assert large["litellm_params"]["reasoning_effort"] == "low"
    assert large["litellm_params"]["max_tokens"] == 100
    assert large["litellm_params"]["organization"] == "o"
    assert large["model_info"] == {"id": "large@low", "max_output_tokens": 100}
    [(name, price)] = catalogue.price_map().items()
    assert name == "small"
    assert price["supports_function_calling"] is True
    assert price["supported_regions"] == ["eu"]
    assert price["data_retention"] == ["none"]
    assert price["max_input_tokens"] == 8000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have candidates"),
        ("candidates: []", "must have candidates"),
        ("candidates: {a: {model: openai/a}}\nextra: 1", "unknown keys extra"),
        ("candidates: {a: {model: openai/a, effort: low}}", "candidate a: unknown"),
        ("candidates: {a: openai/a}", "candidate a: unknown openai/a"),
        ("candidates: {a: {api_key: k}}", "candidate a:.*model"),
        ("candidates: {a: {model: gpt}}", "provider/model"),
        ("candidates: {a: {model: openai/a, reasoning_effort: hard}}", "reasoning_effort"),
        ("candidates: {a: {model: openai/a, input_usd_per_mtok: 1}}", "both prices or none"),
        ("candidates: {a: {model: openai/a, output_budget: 0}}", "output_budget"),
        ("default: b\ncandidates: {a: {model: openai/a}}", "default must name a candidate"),
        ("candidates: {a: ", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)


def test_prices_are_dollars_per_million() -> None:
    with pytest.raises(ConfigError, match="dollars per million"):
        Candidate(name="a", model="openai/a", input_usd_per_mtok=-1, output_usd_per_mtok=1)
