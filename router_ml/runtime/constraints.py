"""What a request may ask for beyond its query, and which candidates that leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from router_ml.errors import InvalidRequestError
from router_ml.runtime.spent import NOTHING, Spent
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Constraints:
        """Build constraints from what JSON holds.

        Raises
        ------
        InvalidRequestError
            If a key is unknown, or a value is not of its type or range.

        Examples
        --------
        >>> Constraints.from_dict({"candidates": ["small"], "max_cost_usd": 0.01}).candidates
        ('small',)
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or (unknown := sorted(set(values) - set(known))):
            got = unknown if isinstance(values, Mapping) else type(values).__name__
            raise InvalidRequestError(
                f"constraints must be an object of {', '.join(known)}, got {got}"
            )
        given = {name: value for name, value in values.items() if value is not None}
        names = given.get("candidates")
        if names is not None:
            if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
                raise InvalidRequestError("candidates must be a list of names")
            given["candidates"] = tuple(names)
        for name, value in given.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name != "candidates" and not number:
                raise InvalidRequestError(f"{name} must be a number, got {type(value).__name__}")
        return cls(**given)

    def capped(self, predictions: Predictions) -> Predictions:
        """Predictions with output tokens of at most ``max_output_tokens``."""
        if self.max_output_tokens is None:
            return predictions
        tokens = np.minimum(predictions.output_tokens, self.max_output_tokens)
        return replace(predictions, output_tokens=tokens)

    def eligible(
        self,
        positions: Mapping[str, int],
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
        spent: Spent = NOTHING,
    ) -> BoolArray:
        """Which candidates may answer one query: those :meth:`admitted`, by :meth:`floored`.

        Parameters
        ----------
        positions : candidate name to its position in ``table``
        predictions, cost_usd : one row each, shape (1, K)
        spent : by earlier turns

        Returns
        -------
        bool array, shape (1, K)

        Raises
        ------
        InvalidRequestError
            If a name is unknown, or the limits leave nobody; the text says which limit did.
        """
        allowed, refusal = self.admitted(positions, table, predictions, cost_usd, spent)
        if refusal:
            raise InvalidRequestError(refusal)
        return self.floored(allowed, predictions.quality)

    def admitted(
        self,
        positions: Mapping[str, int],
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
        spent: Spent = NOTHING,
    ) -> tuple[BoolArray, str]:
        """Candidates within the limits, shape (1, K), and what ruled out the last; ``""`` if none.

        Arguments as for :meth:`eligible`.

        Raises
        ------
        InvalidRequestError
            If a name is unknown.
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
        if spent.asked:
            allowed[0, list(spent.asked)] = False
            if not allowed.any():
                return allowed, "every candidate that may answer was asked"
        for fits, label, values in self._limits(table, predictions, cost_usd, spent):
            left = allowed & fits
            if not left.any():
                least = float(values[allowed].min())
                return left, (
                    f"no candidate meets {label}: the lowest prediction among those still allowed "
                    f"is {least:.6g}; relax it"
                )
            allowed = left
        return allowed, ""

    def floored(self, allowed: BoolArray, quality: FloatArray) -> BoolArray:
        """Those whose predicted quality reaches ``min_quality``; the best one where none does.

        Parameters
        ----------
        allowed : bool array, shape (1, K), with at least one
        quality : predictions, shape (1, K)
        """
        if self.min_quality is None:
            return allowed
        reached = allowed & (quality >= self.min_quality)
        if reached.any():
            return reached
        only = np.zeros_like(allowed)
        only[0, np.where(allowed, quality, -np.inf).argmax()] = True
        return only

    def _limits(
        self,
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
        spent: Spent,
    ) -> list[tuple[BoolArray, str, FloatArray]]:
        """Who meets each limit, its name, and the predictions that it bounds."""
        limits = []
        if table.context_window.any():
            tokens = predictions.input_tokens
            fits = fits_context(table, tokens + (self.max_output_tokens or 0))
            limits.append((fits, "context window", tokens))
        if self.max_cost_usd is not None:
            total = spent.cost_usd + cost_usd
            label = f"max_cost_usd={self.max_cost_usd:g}"
            limits.append((total <= self.max_cost_usd, label, total))
        if self.max_latency_ms is not None:
            total = spent.latency_ms + predictions.latency_ms
            label = f"max_latency_ms={self.max_latency_ms:g}"
            limits.append((total <= self.max_latency_ms, label, total))
        return limits


def fits_context(table: CandidateTable, tokens: FloatArray) -> BoolArray:
    """Whether ``tokens``, shape (n_samples, K), fit each context window; unknown ones fit all."""
    fits: BoolArray = (table.context_window == 0) | (tokens <= table.context_window)
    return fits
