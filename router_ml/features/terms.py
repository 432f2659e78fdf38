"""Terms of a query: which tokens and adjacent pairs of tokens occur, each hashed to a number."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types import IntArray

_SINGLE_BITS: Final = 15
_PAIR_BITS: Final = 17
_BITS: Final = 18
_PAIR_FACTOR: Final = 1_000_003
N_TERMS: Final = 2**_SINGLE_BITS + 2**_PAIR_BITS
"""Terms are below this. How they are numbered is part of the bundle format."""


def distinct_terms(ids: IntArray, rows: IntArray, pad_id: int) -> tuple[IntArray, IntArray]:
    r"""The distinct terms of every query, by hashing.

    Token t is term :math:`t \bmod 2^{15}`, the adjacent pair (a, b) is term
    :math:`2^{15} + (1000003\,a + b) \bmod 2^{17}`. That something occurs says more than how often.

    Parameters
    ----------
    ids, rows : tokens of all queries, int64, and the query each belongs to, in order
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
    >>> ids, rows = np.array([5, 7, 5, 0, 7]), np.array([0, 0, 0, 1, 2])
    >>> terms, rows = distinct_terms(ids, rows, pad_id=0)
    >>> terms.tolist(), rows.tolist()
    ([5, 7, 52054, 85978, 7], [0, 0, 0, 0, 2])
    """
    real = ids != pad_id
    together = rows[1:] == rows[:-1]
    together &= real[1:]
    together &= real[:-1]
    pair = ids[:-1] * _PAIR_FACTOR
    pair += ids[1:]
    pair &= 2**_PAIR_BITS - 1
    pair += 2**_SINGLE_BITS
    # A key is its query's number above its term's, so that one sort orders both.
    above = rows << _BITS
    pair += above[1:]
    above += ids & (2**_SINGLE_BITS - 1)
    keys = np.concatenate((above[real], pair[together]))
    keys.sort()
    keys = np.concatenate((keys[:1], keys[1:][keys[1:] != keys[:-1]]))
    return keys & (2**_BITS - 1), keys >> _BITS
