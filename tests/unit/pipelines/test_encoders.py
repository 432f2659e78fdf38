"""The cache of encoders, as processes that run side by side use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import encoders
from pipelines.encoders import get_encoder
from tests.semantic_routes import encoder


@pytest.fixture
def distilled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which models were distilled; a small encoder is what comes of each."""
    made: list[str] = []

    def distil(model: str, **_: object) -> object:
        made.append(model)
        return encoder()

    monkeypatch.setattr(encoders, "distill_static", distil)
    return made


def test_an_encoder_is_made_once(tmp_path: Path, distilled: list[str]) -> None:
    first, again = (get_encoder(cache=tmp_path, model="a") for _ in range(2))
    assert first.digest == again.digest
    assert distilled == ["a"]
    assert len(list((tmp_path / "encoders").iterdir())) == 1


def test_of_two_that_make_the_same_the_first_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distilled: list[str]
) -> None:
    def meanwhile(model: str, **_: object) -> object:
        if not distilled:
            distilled.append(model)
            get_encoder(cache=tmp_path, model=model)
        return encoder()

    monkeypatch.setattr(encoders, "distill_static", meanwhile)
    get_encoder(cache=tmp_path, model="a")
    [folder] = (tmp_path / "encoders").iterdir()
    assert (folder / "layout.json").is_file()


def test_what_is_incomplete_is_made_again(tmp_path: Path, distilled: list[str]) -> None:
    get_encoder(cache=tmp_path, model="a")
    [folder] = (tmp_path / "encoders").iterdir()
    (folder / "layout.json").unlink()
    get_encoder(cache=tmp_path, model="a")
    assert distilled == ["a", "a"]
    assert (folder / "layout.json").is_file()
