"""Terms are what a plain loop over tokens and pairs finds."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from router_ml.features.terms import N_TERMS, distinct_terms
from router_ml.types.queries import Tokens

PAD = 0
ROW = st.lists(st.sampled_from([PAD, 1, 2, 3, 29_000, 250_000]), max_size=12)


def plain(row: list[int]) -> list[int]:
    singles = {t % 2**15 for t in row if t != PAD}
    adjacent = [(a, b) for a, b in itertools.pairwise(row) if PAD not in (a, b)]
    return sorted(singles | {2**15 + (a * 1_000_003 + b) % 2**17 for a, b in adjacent})


@given(st.lists(ROW, max_size=8))
def test_terms_of_every_query(rows: list[list[int]]) -> None:
    tokens = Tokens.from_rows(rows)
    terms, of = distinct_terms(tokens, tokens.rows, PAD)
    found: list[list[int]] = [terms[of == i].tolist() for i in range(len(rows))]
    assert found == [plain(row) for row in rows]
    assert (np.diff(of) >= 0).all()
    assert terms.max(initial=0) < N_TERMS
