"""Terms of a query: which tokens and adjacent pairs of tokens occur, each hashed to a number."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import IntArray
from router_ml.types.queries import Tokens

_SINGLE_BITS: Final = 15
_PAIR_BITS: Final = 17
_BITS: Final = 18
_PAIR_FACTOR: Final = 1_000_003
_NOTHING: Final = np.iinfo(np.int64).max
N_TERMS: Final = 2**_SINGLE_BITS + 2**_PAIR_BITS
"""Terms are below this. How they are numbered is part of the bundle format."""


def distinct_terms(tokens: Tokens, rows: IntArray, pad_id: int) -> tuple[IntArray, IntArray]:
    r"""The distinct terms of every query, by hashing.

    Token t is term :math:`t \bmod 2^{15}`, the adjacent pair (a, b) is term
    :math:`2^{15} + (1000003\,a + b) \bmod 2^{17}`. That something occurs says more than how often.

    Parameters
    ----------
    tokens : of n queries
    rows : ``tokens.rows``, which whoever asks has at hand
    pad_id : id that is no word: padding, and the separator of a static encoder

    Returns
    -------
    tuple of int64 arrays, shape (n_terms,)
        Terms, and the query each belongs to; by query, then by term.

    References
    ----------
    .. [1] Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.

    Examples
    --------
    >>> tokens = Tokens.from_rows([[5, 7, 5], [0], [7]])
    >>> terms, rows = distinct_terms(tokens, tokens.rows, pad_id=0)
    >>> terms.tolist(), rows.tolist()
    ([5, 7, 52054, 85978, 7], [0, 0, 0, 0, 2])
    """
    ids, n = tokens.flat, len(tokens.flat)
    # A key is its query's number above its term's, so that one sort orders both; what is no term
    # goes to the end, to the one that stands there in any case.
    keys = np.full(2 * n + 1, _NOTHING)
    single, pair = keys[:n], keys[n : 2 * n - 1]
    above = rows << _BITS
    np.bitwise_and(ids, 2**_SINGLE_BITS - 1, out=single)
    single += above
    np.multiply(ids[:-1], _PAIR_FACTOR, out=pair)
    pair += ids[1:]
    pair &= 2**_PAIR_BITS - 1
    pair += 2**_SINGLE_BITS
    pair += above[1:]
    padding = ids == pad_id
    single[padding] = pair[padding[1:]] = pair[padding[:-1]] = _NOTHING
    if len(tokens) > 1:
        pair[above[1:] != above[:-1]] = _NOTHING
    keys.sort()
    keys = keys[:-1][keys[1:] != keys[:-1]]
    return keys & (2**_BITS - 1), keys >> _BITS
