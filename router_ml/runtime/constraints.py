"""What a request may ask for beyond its query, and which candidates that leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from router_ml.errors import InvalidRequestError
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits of one request.

    Parameters
    ----------
    candidates : allow-list of names; ``None`` = all
    max_cost_usd : predicted dollars may not exceed this, > 0
    max_latency_ms : predicted milliseconds may not exceed this, > 0
    min_quality : prefer the cheapest whose predicted quality reaches this, in [0, 1]; where none
        does, the best one answers
    cost_weight : quality per dollar, >= 0; replaces the policy for this request
    max_output_tokens : caps the predicted output tokens, >= 1
    """

    candidates: tuple[str, ...] | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    min_quality: float | None = None
    cost_weight: float | None = None
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_cost_usd", 0.0, math.inf),
            ("max_latency_ms", 0.0, math.inf),
            ("min_quality", 0.0, 1.0),
            ("cost_weight", 0.0, math.inf),
            ("max_output_tokens", 1, math.inf),
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InvalidRequestError(f"{name} must be in [{low}, {high}], got {value}")
        if self.candidates is not None and not self.candidates:
            raise InvalidRequestError("candidates must name at least one, got an empty list")

    def eligible(
        self,
        positions: Mapping[str, int],
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
    ) -> BoolArray:
        """Which candidates may answer one query.

        Parameters
        ----------
        positions : candidate name to its position in ``table``
        predictions, cost_usd : one row each, shape (1, K)

        Returns
        -------
        bool array, shape (1, K)

        Raises
        ------
        InvalidRequestError
            If a name is unknown, or the limits leave nobody; the text says which limit did.
        """
        allowed = np.ones((1, len(table)), dtype=bool)
        if self.candidates is not None:
            unknown = [name for name in self.candidates if name not in positions]
            if unknown:
                raise InvalidRequestError(
                    f"unknown candidates {unknown}; the router knows {list(table.names)}"
                )
            allowed[:] = False
            allowed[0, [positions[name] for name in self.candidates]] = True
        if table.context_window.any():
            fits = fits_context(table, predictions.input_tokens + (self.max_output_tokens or 0))
            allowed = self._narrow(allowed, fits, "context window", predictions.input_tokens)
        if self.max_cost_usd is not None:
            fits = cost_usd <= self.max_cost_usd
            allowed = self._narrow(allowed, fits, f"max_cost_usd={self.max_cost_usd:g}", cost_usd)
        if self.max_latency_ms is not None:
            fits = predictions.latency_ms <= self.max_latency_ms
            label = f"max_latency_ms={self.max_latency_ms:g}"
            allowed = self._narrow(allowed, fits, label, predictions.latency_ms)
        if self.min_quality is not None:
            reached = allowed & (predictions.quality >= self.min_quality)
            if reached.any():
                return reached
            best = np.where(allowed, predictions.quality, -np.inf).argmax()
            allowed = np.zeros_like(allowed)
            allowed[0, best] = True
        return allowed

    @staticmethod
    def _narrow(allowed: BoolArray, fits: BoolArray, label: str, values: FloatArray) -> BoolArray:
        left = allowed & fits
        if not left.any():
            least = float(values[allowed].min())
            raise InvalidRequestError(
                f"no candidate meets {label}: the lowest prediction among those still allowed is "
                f"{least:.6g}; relax it"
            )
        return left


def fits_context(table: CandidateTable, tokens: FloatArray) -> BoolArray:
    """Whether ``tokens``, shape (n_samples, K), fit each context window; unknown ones fit all."""
    fits: BoolArray = (table.context_window == 0) | (tokens <= table.context_window)
    return fits
