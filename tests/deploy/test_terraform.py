"""The Terraform module parses, refers to what is there, and explains every variable."""

from __future__ import annotations

import re
from typing import Any

import hcl2
import pytest
import yaml

from tests.serving.conftest import ROOT

FOLDER = ROOT / "deploy" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in FILES)


def parsed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = hcl2.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def named(blocks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name.strip('"'): body for block in blocks for name, body in block.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_parses(path: Any) -> None:
    assert parsed(path.name)


def test_every_variable_is_explained_and_used() -> None:
    variables = named(parsed("variables.tf")["variable"])
    used = set(re.findall(r"\bvar\.(\w+)", TEXT))
    assert used == set(variables)
    assert all(body.get("description") for body in variables.values())


def test_it_applies_every_manifest_of_the_base_once() -> None:
    base = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text("utf-8"))
    assert set(re.findall(r'[\w-]+\.yaml(?=")', TEXT)) == set(base["resources"])


def test_what_it_refers_to_is_defined() -> None:
    locals_ = {name for block in parsed("main.tf")["locals"] for name in block}
    assert set(re.findall(r"\blocal\.(\w+)", TEXT)) <= locals_
    resources = named(parsed("main.tf")["resource"])
    (metadata,) = resources["kubernetes_secret"]['"keys"']["metadata"]
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/deployment.yaml").read_text("utf-8"))
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    wanted = next(volume["secret"] for volume in volumes if "secret" in volume)
    assert metadata["name"].strip('"') == wanted["secretName"]
