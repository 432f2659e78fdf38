"""Prices of candidates."""

from __future__ import annotations

import numpy as np

from router_ml.types.candidates import CandidateTable


def table(*, read: float = np.nan, write: float = np.nan) -> CandidateTable:
    return CandidateTable(
        names=("a",),
        input_usd_per_mtok=np.array([3.0]),
        output_usd_per_mtok=np.array([15.0]),
        cached_input_usd_per_mtok=np.array([read]),
        cache_write_usd_per_mtok=np.array([write]),
    )


def test_a_cache_price_that_is_the_plain_price_prices_no_cache() -> None:
    assert not table().prices_caches
    assert not table(read=3.0, write=3.0).prices_caches
    assert table(read=0.3).prices_caches
    assert table(write=3.75).prices_caches
