"""What holds around a request that it does not ask for itself: caches, health, budgets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final

import numpy as np

from router_ml.errors import InvalidRequestError, NoCandidateError, OverBudgetError
from router_ml.runtime.limit import Limit
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable

_OVER_BUDGET: Final = "every candidate that may answer costs more than the budget has left"


@dataclass(frozen=True, slots=True)
class Conditions:
    """State that whoever calls the runtime keeps between requests; by default there is none.

    Parameters
    ----------
    cached_tokens : candidate to the tokens of this prompt that its provider has in its cache, so
        that expected cost includes what a switch of candidates costs: the rest is written to the
        cache at its price. ``{}`` = a conversation of which nothing is cached; ``None`` = prompts
        are not cached.
    avoid : candidates that fail at present; nobody of them is chosen unless nobody else is left
    ttft_ms : candidate to a measured quantile of its time to first token, for ``max_ttft_ms``
    extra_cost_weight : added to the policy's cost weight, quality per dollar, >= 0
    left_usd : what a budget has left; dearer candidates may not answer
    explored : candidate to the least probability with which it is chosen where it may answer
    spent_budget : name of a budget that is spent: the cheapest candidate answers
    """

    cached_tokens: Mapping[str, int] | None = None
    avoid: tuple[str, ...] = ()
    ttft_ms: Mapping[str, float] = field(default_factory=dict)
    extra_cost_weight: float = 0.0
    left_usd: float | None = None
    spent_budget: str = ""
    explored: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("extra_cost_weight", "left_usd"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise InvalidRequestError(f"{name} must be a finite number >= 0, got {value}")
        if wrong := {n: p for n, p in self.explored.items() if not 0.0 <= p <= 1.0}:
            raise InvalidRequestError(f"explored must be probabilities in [0, 1], got {wrong}")
        for tokens in (self.cached_tokens or {}).values():
            if tokens < 0:
                raise InvalidRequestError(f"cached_tokens must be >= 0, got {tokens}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Conditions:
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        InvalidRequestError
            If a key is unknown, or a value out of range.

        Examples
        --------
        >>> Conditions.from_dict({"cached_tokens": {"small": 2048}}).cached_tokens
        {'small': 2048}
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(values, Mapping) or (unknown := sorted(set(values) - known)):
            got = unknown if isinstance(values, Mapping) else type(values).__name__
            raise InvalidRequestError(
                f"conditions must be an object of {', '.join(sorted(known))}, got {got}"
            )
        given = dict(values)
        if "avoid" in given:
            given["avoid"] = tuple(given["avoid"])
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """What differs from :data:`NO_CONDITIONS`, JSON-able."""
        return {
            name: value
            for name, value, default in zip(_NAMES, _VALUES(self), _DEFAULTS, strict=True)
            if value is not default and value != default
        }

    @property
    def least_tokens(self) -> int:
        """The prompt is at least as long as what is cached of it."""
        return max(self.cached_tokens.values(), default=0) if self.cached_tokens else 0

    def cost_usd(
        self, table: CandidateTable, input_tokens: FloatArray, output_tokens: FloatArray
    ) -> FloatArray:
        """Dollars per request, shape (n_samples, K), from token counts of that shape."""
        if self.cached_tokens is None:
            return table.cost_usd(input_tokens, output_tokens)
        cached = np.array([float(self.cached_tokens.get(name, 0)) for name in table.names])
        return table.cost_usd(input_tokens, output_tokens, cached_tokens=cached)

    def limits(
        self, table: CandidateTable, cost_usd: FloatArray, max_ttft_ms: float | None
    ) -> Iterator[Limit]:
        """Whom the conditions rule out; ``cost_usd`` has shape (1, K)."""
        if max_ttft_ms is not None and self.ttft_ms:
            ttft = np.array([[self.ttft_ms.get(name, 0.0) for name in table.names]])
            yield Limit(ttft <= max_ttft_ms, f"max_ttft_ms={max_ttft_ms:g}", values=ttft)
        if self.left_usd is not None:
            label = "costs more than its budget has left"
            yield Limit(cost_usd <= self.left_usd, label, _OVER_BUDGET)

    def healthy(self, table: CandidateTable, allowed: BoolArray) -> BoolArray:
        """Those of ``allowed``, shape (1, K), that are not to be avoided; all where none is left.

        It is better to ask one that failed a moment ago than to refuse the request.
        """
        well = allowed & np.array([[name not in self.avoid for name in table.names]])
        return well if well.any() else allowed


NO_CONDITIONS: Final = Conditions()
"""Nothing is known beyond the request."""
_NAMES: Final = tuple(f.name for f in fields(Conditions))
_VALUES: Final = attrgetter(*_NAMES)
_DEFAULTS: Final = _VALUES(NO_CONDITIONS)


def refused(refusal: str, before: str = "") -> InvalidRequestError:
    """The error for what a limit says when it leaves nobody."""
    kind = OverBudgetError if refusal == _OVER_BUDGET else NoCandidateError
    return kind(before + refusal)
