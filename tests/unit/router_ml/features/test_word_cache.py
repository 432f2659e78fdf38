"""The cached ids are the tokenizer's own, or none are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from router_ml.features.word_cache import WordCache
from tests.bundles import wordpiece

TOKENIZER = wordpiece()
CACHE = WordCache(tokenizer=TOKENIZER)
PIECES = st.sampled_from(["the", "blue", "Mix ", "[PAD]", "[pad]", "\t", "\r\n", "\x0b", "\x1c"])


def expected(text: str) -> list[int]:
    ids: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return ids


@given(st.lists(st.one_of(PIECES, st.text(st.characters(max_codepoint=127)))).map("".join))
def test_ascii(text: str) -> None:
    ids = CACHE.ids(text)
    assert ids is None or ids.tolist() == expected(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mix the blue paint!",
        "a\tb\nc\r\nd",
        "x_y-z  (1.5)",
        "unknownword",
        "f('a')[0]",
        "x" * 33,
    ],
)
def test_plain_text_is_known(text: str) -> None:
    ids = CACHE.ids(text)
    assert ids is not None
    assert ids.tolist() == expected(text)


@pytest.mark.parametrize("text", ["naïve", "a\x00b", "a\x1cb", "the [PAD] token", "数学"])
def test_anything_else_is_left_to_the_tokenizer(text: str) -> None:
    assert CACHE.ids(text) is None


def test_suits_bert_alone() -> None:
    assert WordCache.suits(TOKENIZER)
    assert not WordCache.suits(Tokenizer(BPE()))
