"""Quality against dollars and milliseconds, at a stated exchange rate."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class CostAwarePolicy(Policy):
    r"""Pick the candidate of the highest utility.

    .. math:: u_{ik} = \hat q_{ik} - \lambda \hat c_{ik} - \mu \hat l_{ik}

    Ties go to the cheaper candidate, then to the lower index, so the decision is deterministic.

    Parameters
    ----------
    cost_weight : float, default=0.0
        :math:`\lambda`, quality per US dollar, >= 0. Zero ignores cost.
    latency_weight : float, default=0.0
        :math:`\mu`, quality per millisecond, >= 0. Zero ignores latency.

    Raises
    ------
    ConfigError
        If a weight is not a finite number >= 0.

    References
    ----------
    .. [1] Dekoninck et al., "A Unified Approach to Routing and Cascading for LLMs", ICML 2025.

    Examples
    --------
    >>> import numpy as np
    >>> import router_ml as rm
    >>> from router_ml.types.candidates import CandidateTable
    >>> from router_ml.types.predictions import Predictions
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 1000.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9]]), tokens, tokens, tokens)
    >>> rm.CostAware(cost_weight=20.0).ranking(predictions, table).tolist()
    [[0, 1]]
    """

    name: ClassVar[str] = "cost_aware"

    def __init__(self, *, cost_weight: float = 0.0, latency_weight: float = 0.0) -> None:
        for label, value in (("cost_weight", cost_weight), ("latency_weight", latency_weight)):
            if not (np.isfinite(value) and value >= 0):
                raise ConfigError(f"{label} must be a finite number >= 0, got {value}")
        self.cost_weight = cost_weight
        self.latency_weight = latency_weight

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Utility, in units of quality."""
        utility: FloatArray = predictions.quality - self.cost_weight * cost_usd
        if self.latency_weight:
            utility = utility - self.latency_weight * predictions.latency_ms
        return utility

    @property
    def weights(self) -> tuple[float, float]:
        """As constructed."""
        return self.cost_weight, self.latency_weight

    @property
    def reason(self) -> str:
        """Why this policy picks what it picks."""
        return f"highest utility at cost_weight {self.cost_weight:g}"
