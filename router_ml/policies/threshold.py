"""Two candidates and a threshold: RouteLLM's setting as a special case."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class ThresholdPolicy(Policy):
    r"""Pick ``strong`` where its predicted advantage reaches a threshold, else ``weak``.

    .. math:: \hat q_{i,strong} - \hat q_{i,weak} \ge \tau

    Parameters
    ----------
    weak, strong : candidate names; all others rank behind these two
    threshold : float, default=0.0
        :math:`\tau`, in [-1, 1]; higher sends less to ``strong``.

    References
    ----------
    .. [1] Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", ICLR 2025.

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((2, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9], [0.8, 0.85]]), tokens, tokens, tokens)
    >>> policy = ThresholdPolicy(weak="small", strong="large", threshold=0.1)
    >>> policy.ranking(predictions, table)[:, 0].tolist()
    [1, 0]
    """

    name: ClassVar[str] = "threshold"

    def __init__(self, *, weak: str, strong: str, threshold: float = 0.0) -> None:
        if weak == strong:
            raise ConfigError(f"weak and strong must differ, both are {weak!r}")
        self.weak = weak
        self.strong = strong
        self.threshold = threshold

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Quality less two for bystanders; the two contenders stand above them."""
        weak, strong = candidates.index(self.weak), candidates.index(self.strong)
        advantage = predictions.quality[:, strong] - predictions.quality[:, weak]
        scores = predictions.quality - 2.0
        scores[:, weak] = 1.0
        scores[:, strong] = np.where(advantage >= self.threshold, 2.0, 0.0)
        return scores
