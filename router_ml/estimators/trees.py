"""What tree estimators share: the columns they see, and thresholds in single precision."""

from __future__ import annotations

import numpy as np

from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch


def tree_features(queries: QueryBatch, n_dims: int) -> FloatArray:
    """Lexical columns and the first ``n_dims`` of the embedding, float64 of float32 values."""
    return np.hstack([queries.lexical, queries.embedding[:, :n_dims]]).astype(np.float64)


def float_below(threshold: float) -> float:
    """The largest float32 not above a double: ``x <= t`` is then the same for every float32 x.

    Examples
    --------
    >>> float_below(0.1) <= 0.1
    True
    """
    single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    return float(single)
