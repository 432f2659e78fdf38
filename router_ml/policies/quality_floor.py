"""The cheapest candidate that is good enough."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class QualityFloorPolicy(Policy):
    """Cheapest candidate whose predicted quality reaches the floor, else the best one.

    Parameters
    ----------
    min_quality : the floor, in [0, 1]

    Raises
    ------
    ConfigError
        If ``min_quality`` is not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import router_ml as rm
    >>> from router_ml.types.candidates import CandidateTable
    >>> from router_ml.types.predictions import Predictions
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((2, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9], [0.2, 0.6]]), tokens, tokens, tokens)
    >>> rm.QualityFloor(min_quality=0.65).ranking(predictions, table)[:, 0].tolist()
    [0, 1]
    """

    name: ClassVar[str] = "quality_floor"

    def __init__(self, *, min_quality: float) -> None:
        if not 0.0 <= min_quality <= 1.0:
            raise ConfigError(f"min_quality must be in [0, 1], got {min_quality}")
        self.min_quality = min_quality

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Above one and falling with cost where the floor is reached, else the quality."""
        reached = predictions.quality >= self.min_quality
        return np.where(reached, 1.0 + 1.0 / (1.0 + cost_usd), predictions.quality)
