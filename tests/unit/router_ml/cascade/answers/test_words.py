"""Faster searches find what the plain regular expressions find."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_ml.cascade.answers.readers import numbers, text
from router_ml.cascade.answers.words import Phrases, lower_words

PHRASES = {
    name: value
    for module in (text, numbers)
    for name, value in vars(module).items()
    if isinstance(value, Phrases)
}
MATCHES = {
    "_REFUSAL": [
        "cannot", "can't", "unable to", "not able to", "i'm sorry", "i am sorry", "apologize",
        "apologise", "as an ai", "none of the", "no function", "no given function",
        "no provided function", "no available function", "no suitable function", "not sufficient",
        "not suitable", "not relevant", "not applicable", "not possible", "does not match",
        "does not provide", "does not exist", "lack", "lacks", "cannot be",
    ],
    "_HEDGE": [
        "maybe", "perhaps", "might", "probably", "possibly", "approximately", "roughly",
        "not certain", "not sure", "i think", "seem", "seems", "assumed", "unclear", "however",
        "likely", "guess",
    ],
    "_ASKS": [
        "please provide", "please specify", "please clarify", "could you", "can you",
        "more information", "which one",
    ],
    "_CODE": ["```", "{", "}", ";", "def f", "return", "=>", "==", "()", "::"],
    "_FINAL_MARK": ["#### 7", "final answer is: 7", "answer is $7", r"\boxed{7}"],
}  # fmt: skip


@given(st.text() | st.text(alphabet="aB1_ .-é"))
def test_words_are_those_of_the_pattern(said: str) -> None:
    assert lower_words(said) == re.findall(r"[^\W_]+", said.lower())


def test_every_pattern_is_here() -> None:
    assert PHRASES.keys() == MATCHES.keys()


@pytest.mark.parametrize("name", PHRASES)
def test_stems_let_every_match_through(name: str) -> None:
    for match in MATCHES[name]:
        assert PHRASES[name].count(f"so {match} .") == 1, match


ALL = [match for matches in MATCHES.values() for match in matches]


@given(st.lists(st.sampled_from(ALL), max_size=4), st.text())
def test_as_many_as_the_pattern_finds(parts: list[str], between: str) -> None:
    said = between.join(["", *parts, ""])
    for phrases in PHRASES.values():
        assert phrases.count(said) == len(phrases.pattern.findall(said))
