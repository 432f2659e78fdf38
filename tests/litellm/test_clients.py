"""The decision endpoints as real clients read them; providers as LiteLLM resolves them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router_ml.features.query import parse_query
from router_ml.integrations.litellm.catalogue import Candidate
from router_ml.policies.exploration import BoltzmannPolicy
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.litellm.conftest import ROOT, service

CONFIGURED: dict[str, tuple[str, str | None]] = {
    "openai/gpt-4o-mini": ("openai", None),
    "anthropic/claude-sonnet-4-5": ("anthropic", None),
    "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0": ("bedrock", None),
    "azure/my-deployment": ("azure", "https://example.openai.azure.com"),
    "vertex_ai/gemini-2.5-flash": ("vertex_ai", None),
    "huggingface/together/deepseek-ai/DeepSeek-R1": ("huggingface", None),
    "huggingface/tgi": ("huggingface", "https://mine.endpoints.huggingface.cloud/v1"),
    "openai/tgi": ("openai", "http://tgi:8080/v1"),
    "hosted_vllm/llama-3": ("hosted_vllm", "http://vllm:8000/v1"),
    "openrouter/meta-llama/llama-3-70b": ("openrouter", None),
    "openai/@virtual-key/gpt-4o": ("openai", "https://api.portkey.ai/v1"),
}
"""Model to provider and address; the last is Portkey, which speaks OpenAI's protocol."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    policy = BoltzmannPolicy(cost_weight=10.0, temperature=0.2, floor=0.05)
    make_bundle(folder / "bundle", policy=policy, training={"binary_labels": True})
    (folder / "aliases.json").write_text('{"SIMPLE": "candidate-0"}')
    return folder


@pytest.fixture(scope="module")
def found(python: Path, folder: Path) -> dict[str, Any]:
    settings = {"bundle": folder / "bundle", "aliases_file": folder / "aliases.json"}
    candidates = [
        Candidate(name=model, model=model, api_base=base) for model, (_, base) in CONFIGURED.items()
    ]
    models = json.dumps([candidate.deployment() for candidate in candidates])
    words = [str(python), "-m", "tests.litellm.mock.clients"]
    with service(folder, **settings) as url:
        done = subprocess.run(
            [*words, url, models],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": "/usr/bin", "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, float]:
    """What the router knows of the clients' question."""
    runtime, query = Runtime.from_folder(folder / "bundle"), parse_query("Write code.")
    limits = Constraints(candidates=("candidate-0", "candidate-1"))
    probs = runtime.decide(query, limits).action_probs
    quality = float(runtime.predict([query]).quality[0, 0])
    return {"SIMPLE": probs[0], "candidate-1": probs[1], "quality": quality}


def check_choice(answer: dict[str, Any], expected: dict[str, float]) -> None:
    given = answer["probabilities"]
    if isinstance(given, list):
        given = {line["value"]: line["probability"] for line in given}
    assert given == pytest.approx({k: v for k, v in expected.items() if k in given}, rel=1e-4)
    assert set(given) == {"SIMPLE", "candidate-1"}
    assert answer["choice"] in given
    assert 0 <= answer["confidence"] <= 1


def test_the_openai_sdk(found: dict[str, Any], expected: dict[str, float]) -> None:
    choice, predicate, score, refusal = found["with_openai"]["answers"]
    check_choice(choice, expected)
    assert predicate["probability"] == pytest.approx(expected["quality"], rel=1e-4)
    assert score["score"] == pytest.approx(expected["quality"], rel=1e-4)
    assert refusal["type"] == "refusal"


def test_litellms_sdk(found: dict[str, Any], expected: dict[str, float]) -> None:
    choice, predicate, score, refusal = found["with_litellm"]["decisions"]["answers"]
    check_choice(choice, expected)
    assert predicate["probability"] == pytest.approx(expected["quality"], rel=1e-4)
    assert score["score"] == pytest.approx(expected["quality"], rel=1e-4)
    assert refusal == {"type": "refusal", "name": "urgent"}
    check_choice(found["with_litellm"]["systemone"]["answers"]["who"], expected)


def test_langchains_openai_decisions(found: dict[str, Any], expected: dict[str, float]) -> None:
    answers = found["with_langchain"]["answers"]
    check_choice(answers["who"], expected)
    assert answers["good"]["probability"] == pytest.approx(expected["quality"], rel=1e-4)
    assert answers["quality"]["legend"] == {"0": "0", "1": "1"}
    assert answers["urgent"]["type"] == "refusal"


def test_langchains_model_router(found: dict[str, Any], expected: dict[str, float]) -> None:
    answer = found["with_middleware"]
    check_choice(answer["route"], expected)
    assert answer["said"] == answer["route"]["choice"]


def test_providers_are_resolved_by_litellm(found: dict[str, Any]) -> None:
    assert found["providers"] == {model: provider for model, (provider, _) in CONFIGURED.items()}
