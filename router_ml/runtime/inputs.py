"""What a graph is fed with: the inputs that it declares, out of these."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from router_ml.features.lexical import NAMES
from router_ml.features.terms import distinct_terms
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import Tokens

INPUTS: Final[dict[str, tuple[type[np.generic], tuple[str | int, ...]]]] = {
    "lexical": (np.float32, ("batch", len(NAMES))),
    "tokens": (np.int64, ("tokens",)),
    "token_rows": (np.int64, ("tokens", 1)),
    "terms": (np.int64, ("terms",)),
    "term_rows": (np.int64, ("terms", 1)),
    "input_ids": (np.int64, ("batch", "longest")),
}
"""Type and shape by name. ``tokens`` are the ids of all queries, padding and separators left out,
``terms`` those of :mod:`router_ml.features.terms`; ``*_rows`` is the query each belongs to.
``input_ids`` are rows filled up to the longest, which transformers want; format 1 had no other."""


def graph_inputs(
    wanted: Collection[str], *, tokens: Tokens, lexical: FloatArray, pad_id: int
) -> dict[str, Any]:
    """The wanted inputs of a batch.

    Parameters
    ----------
    wanted : names, of :data:`INPUTS`
    tokens : as the tokenizer gives them
    lexical : float32, shape (n_samples, n_lexical), the columns that the bundle names
    pad_id : of the tokenizer's layout
    """
    feed: dict[str, FloatArray | IntArray] = {"lexical": lexical}
    ids, rows = tokens.flat, tokens.rows
    if "tokens" in wanted:
        real = ids != pad_id
        feed["tokens"], feed["token_rows"] = ids[real], rows[real][:, None]
    if "terms" in wanted:
        feed["terms"], of = distinct_terms(tokens, rows, pad_id)
        feed["term_rows"] = of[:, None]
    if "input_ids" in wanted:
        feed["input_ids"] = tokens.padded(pad_id)
    return {name: feed[name] for name in wanted}
