"""The fast counts are the plain ones."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from router_ml.features.lexical import NAMES, lexical_features
from router_ml.features.query import Query
from tests.timing import ratio

CODE = re.compile(r"```|[{};]|\bdef \b|\breturn\b|=>|->|==|\(\)|::|</")
OPTION = re.compile(r"(?m)^\s*\(?[A-Ha-h1-9][.):]\s")
PIECES = ["def ", "undef x", "return", "returns", "=>", "->", "==", "()", "::", "</", "```", ";"]
PIECES += ["\n", " ", "A. ", "(b) ", "1) ", "\t", "\r", "x", "É", "²", "７"]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5))).map("".join))
def test_counts(text: str) -> None:
    row = dict(zip(NAMES, lexical_features(Query(text)).tolist(), strict=True))
    n = max(1, len(text))
    words = [word.lower() for word in re.findall(r"\w+", text)]
    expected = {
        "log_words": math.log1p(len(words)),
        "mean_word_chars": sum(map(len, words)) / max(1, len(words)),
        "distinct_word_share": len(set(words)) / max(1, len(words)),
        "log_code_marks": math.log1p(len(CODE.findall(text))),
        "log_options": math.log1p(len(OPTION.findall(text))),
        "digit_share": sum(map(str.isdigit, text)) / n,
        "upper_share": sum(map(str.isupper, text)) / n,
        "non_ascii_share": sum(ord(c) > 127 for c in text) / n,
        "punctuation_share": len(re.findall(r"[^\w\s]", text)) / n,
    }
    for name, value in expected.items():
        assert math.isclose(row[name], value, rel_tol=1e-6, abs_tol=1e-7), name


def test_blank_lines_take_no_longer_than_prose() -> None:
    blank, prose = Query("a" + "\n" * 3990 + "b"), Query("word " * 798)
    assert ratio(lambda: lexical_features(blank), lambda: lexical_features(prose), repeats=9) < 5
