"""A lower bound never exceeds what a tokenizer counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_ml.types.content import least_tokens, part_needs
from tests.bundles import wordpiece

TOKENIZER = wordpiece()


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=30), min_size=1, max_size=40))
def test_it_is_a_lower_bound(words: list[str]) -> None:
    text = " ".join(words) * 300
    assert least_tokens([text]) <= len(TOKENIZER.encode(text, add_special_tokens=False).ids)


def test_it_grows_with_the_text_and_is_not_counted_for_short_ones() -> None:
    counts = [least_tokens(["word " * n]) for n in (10, 1_000, 2_000, 20_000, 190_000)]
    assert counts == [0, 0, 2_000, 20_000, 190_000]
    assert least_tokens(["x" * 160_000]) == 10_000
    assert least_tokens(["word " * 1_000] * 4) == 4_000


@pytest.mark.parametrize(
    ("part", "need"),
    [
        ({"type": "text", "text": "a"}, None),
        ({"type": "image_url", "image_url": {"url": "data:"}}, "vision"),
        ({"type": "image", "source": {}}, "vision"),
        ({"type": "input_audio", "input_audio": {}}, "audio"),
        ({"type": "document", "source": {}}, "documents"),
        ({"type": "file", "file": {}}, "documents"),
        ({"type": "media", "mime_type": "video/mp4"}, "video"),
        ({"type": "media", "mime_type": 7}, "documents"),
        ({"type": ["image"]}, None),
        ({}, None),
    ],
)
def test_needs_of_parts(part: dict[str, object], need: str | None) -> None:
    assert part_needs(part) == need
