"""How an answer compares with the others seen so far, as columns."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import BoolArray, FloatArray

AGREEMENT_NAMES: Final = (
    "n_seen",
    "agree_share",
    "agree_best",
    "agree_mean",
    "same_functions_share",
    "largest_cluster_share",
    "in_largest_cluster",
    "pairs_agree_share",
    "no_calls_share",
)
"""All zero where no other answer was seen."""


def agreement_columns(
    *,
    alike: FloatArray,
    alike_all: FloatArray,
    same_functions: BoolArray,
    calls: BoolArray,
    seen: BoolArray,
) -> FloatArray:
    """Columns :data:`AGREEMENT_NAMES` of m answers.

    Parameters
    ----------
    alike : shape (m, K), agreement with each candidate's answer, in [0, 1]
    alike_all : shape (m, K, K), agreement of all pairs
    same_functions : shape (m, K), whether each candidate's answer calls the same tools
    calls : shape (m, K), whether each candidate's answer calls a tool
    seen : shape (m, K), the answers to compare with

    Returns
    -------
    float32 array, shape (m, len(AGREEMENT_NAMES))
    """
    if not seen.any():
        return np.zeros((len(seen), len(AGREEMENT_NAMES)), np.float32)
    count = seen.sum(axis=1)
    n = np.maximum(count, 1)
    equal = (alike == 1.0) & seen
    # cluster[i, j]: how many of the seen answers say what the seen answer j says.
    both = seen[:, :, None] & seen[:, None, :]
    cluster = ((alike_all == 1.0) & both).sum(axis=2)
    largest = cluster.max(axis=1)
    columns = (
        count,
        equal.sum(axis=1) / n,
        np.where(seen, alike, 0.0).max(axis=1),
        np.where(seen, alike, 0.0).sum(axis=1) / n,
        (same_functions & seen).sum(axis=1) / n,
        largest / n,
        (equal.sum(axis=1) >= largest) & (count > 0),
        (cluster.sum(axis=1) - count) / np.maximum(count * (count - 1), 1),
        (~calls & seen).sum(axis=1) / n,
    )
    return np.stack(columns, axis=1).astype(np.float32)
