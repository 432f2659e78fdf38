"""The fast ids are the reference's, or the fast tokenizer is not used."""

from __future__ import annotations

import builtins
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from router_ml.features.fast_tokenizer import CHECKED, FastTokenizer
from router_ml.features.query import Query
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from tests.bundles import wordpiece

TOKENIZER = wordpiece()
PIECES = st.sampled_from(["the", "blue", "Mix ", "[PAD]", "[pad]", "\t", "\r\n", "\x0b", "\x1c"])
TEXTS = st.lists(st.one_of(PIECES, st.text(st.characters(codec="utf-8"), max_size=40)))


def expected(text: str) -> list[int]:
    ids: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return ids


@settings(max_examples=500)
@given(TEXTS.map("".join))
def test_it_is_exact(text: str) -> None:
    fast = FastTokenizer.of(TOKENIZER)
    assert fast is not None
    assert fast.ids(text).tolist() == expected(text)


@pytest.mark.parametrize("text", CHECKED)
def test_it_is_exact_on_what_is_checked(text: str) -> None:
    fast = FastTokenizer.of(TOKENIZER)
    assert fast is not None
    ids = fast.ids(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == expected(text)


def test_another_kind_of_tokenizer_is_left_to_the_reference() -> None:
    assert FastTokenizer.of(Tokenizer(BPE())) is None


def test_one_that_differs_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong:
        def encode(self, text: str, special: bool) -> Any:
            return np.array(expected(text), dtype=np.uint32)[::-1]

    assert FastTokenizer(Wrong()).first_difference(TOKENIZER) is not None


def test_without_the_library_the_reference_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "nanotoken":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    layout = TokenLayout(pad_id=0, separator_id=0)
    queries = [Query("Mix the blue paint!", tools=({"name": "a"},)), Query("naïve 数学")]
    fast = QueryTokenizer(tokenizer_json=TOKENIZER.to_str(), layout=layout)
    monkeypatch.setattr(builtins, "__import__", refuse)
    slow = QueryTokenizer(tokenizer_json=TOKENIZER.to_str(), layout=layout)
    assert SimpleNamespace(fast=fast.is_fast, slow=slow.is_fast) == SimpleNamespace(
        fast=True, slow=False
    )
    for query in queries:
        assert fast.row(query).tolist() == slow.row(query).tolist()
    assert [row.tolist() for row in fast.rows(queries)] == [r.tolist() for r in slow.rows(queries)]


def test_half_a_surrogate_pair_is_the_references_to_judge() -> None:
    layout = TokenLayout(pad_id=0, separator_id=0)
    tokenizer = QueryTokenizer(tokenizer_json=TOKENIZER.to_str(), layout=layout)
    with pytest.raises((TypeError, UnicodeEncodeError)):
        tokenizer.encode("\ud800")
