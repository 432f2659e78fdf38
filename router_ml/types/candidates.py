"""The LLM endpoints that one can route to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.types.arrays import FloatArray, IntArray

TOKENS_PER_MTOK: Final = 1e6
CACHE_LEAST_TOKENS: Final = 1_024
"""Providers cache no shorter prefix (OpenAI, and Anthropic for most models)."""


@dataclass(frozen=True, slots=True)
class CandidateTable:
    """The LLM endpoints that one can route to, in the order of every ``(n, K)`` array.

    Parameters
    ----------
    names : unique candidate names, K of them
    input_usd_per_mtok, output_usd_per_mtok : float arrays, shape (K,)
        Prices, US dollars per million tokens, >= 0.
    cached_input_usd_per_mtok : float array, shape (K,), optional
        Price of input tokens read from the provider's cache; NaN means as ``input_usd_per_mtok``.
    cache_write_usd_per_mtok : float array, shape (K,), optional
        Price of input tokens written to that cache; NaN means as ``input_usd_per_mtok``.
    context_window : int array, shape (K,), optional
        Tokens of input and output together; 0 = unknown.
    max_output_tokens : int array, shape (K,), optional
        0 = unknown.
    provider : K names, optional
    capabilities : K sets such as ``{"tools", "vision"}``, optional

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> table.cost_usd(np.array([[1000.0, 1000.0]]), np.array([[100.0, 100.0]])).round(6).tolist()
    [[0.00021, 0.0045]]
    """

    names: tuple[str, ...]
    input_usd_per_mtok: FloatArray
    output_usd_per_mtok: FloatArray
    cached_input_usd_per_mtok: FloatArray = field(default_factory=lambda: np.zeros(0))
    cache_write_usd_per_mtok: FloatArray = field(default_factory=lambda: np.zeros(0))
    context_window: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    max_output_tokens: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    provider: tuple[str, ...] = ()
    capabilities: tuple[frozenset[str], ...] = ()

    def __post_init__(self) -> None:
        k = len(self.names)
        if k == 0 or len(set(self.names)) != k:
            raise ConfigError(f"candidate names must be unique and at least one, got {self.names}")
        defaults: dict[str, Any] = {
            "cached_input_usd_per_mtok": np.full(k, np.nan),
            "cache_write_usd_per_mtok": np.full(k, np.nan),
            "context_window": np.zeros(k, np.int64),
            "max_output_tokens": np.zeros(k, np.int64),
            "provider": ("",) * k,
            "capabilities": (frozenset[str](),) * k,
        }
        for name, value in defaults.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, value)
            if len(getattr(self, name)) != k:
                raise ConfigError(f"{name} must have {k} entries, got {len(getattr(self, name))}")
        for name in ("input_usd_per_mtok", "output_usd_per_mtok"):
            price = getattr(self, name)
            if len(price) != k or not np.all(np.isfinite(price)) or np.any(price < 0):
                raise ConfigError(f"{name} must be {k} finite numbers >= 0, got {price}")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_prices(cls, prices: Mapping[str, tuple[float, float]]) -> CandidateTable:
        """Build a table from ``{name: (input, output)}``, US dollars per million tokens."""
        return cls(
            names=tuple(prices),
            input_usd_per_mtok=np.array([p[0] for p in prices.values()], dtype=float),
            output_usd_per_mtok=np.array([p[1] for p in prices.values()], dtype=float),
        )

    def index(self, name: str) -> int:
        """Position of a candidate; ConfigError when there is none of that name."""
        if name not in self.names:
            raise ConfigError(f"no candidate {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def take(self, index: Sequence[int]) -> CandidateTable:
        """Some candidates by position, in that order."""
        rows = list(index)
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            input_usd_per_mtok=self.input_usd_per_mtok[rows],
            output_usd_per_mtok=self.output_usd_per_mtok[rows],
            cached_input_usd_per_mtok=self.cached_input_usd_per_mtok[rows],
            cache_write_usd_per_mtok=self.cache_write_usd_per_mtok[rows],
            context_window=self.context_window[rows],
            max_output_tokens=self.max_output_tokens[rows],
            provider=tuple(self.provider[i] for i in rows),
            capabilities=tuple(self.capabilities[i] for i in rows),
        )

    @property
    def provider_of(self) -> dict[str, str]:
        """Candidate to provider, of those that have one; empty where all have the same."""
        known = {name: p for name, p in zip(self.names, self.provider, strict=True) if p}
        return known if len(set(known.values())) > 1 else {}

    @property
    def prices_caches(self) -> bool:
        """Whether tokens read from, or written to, a cache have a price of their own somewhere."""
        price = self.input_usd_per_mtok
        return any(
            bool((~np.isnan(cached) & (cached != price)).any())
            for cached in (self.cached_input_usd_per_mtok, self.cache_write_usd_per_mtok)
        )

    def cost_usd(
        self,
        input_tokens: FloatArray,
        output_tokens: FloatArray,
        *,
        cached_tokens: FloatArray | None = None,
    ) -> FloatArray:
        """Dollars per request, shape (n_samples, K), from token counts of that shape.

        Parameters
        ----------
        cached_tokens : float array, shape (K,) or (n_samples, K), optional
            Input tokens that each candidate's provider reads from its cache; it writes the others
            to it. Prompts below :data:`CACHE_LEAST_TOKENS` are not cached. ``None`` = no caches.

        Examples
        --------
        >>> table = CandidateTable(
        ...     names=("a",), input_usd_per_mtok=np.array([3.0]),
        ...     output_usd_per_mtok=np.array([15.0]), cached_input_usd_per_mtok=np.array([0.3]),
        ...     cache_write_usd_per_mtok=np.array([3.75]))
        >>> n = np.full((1, 1), 10_000.0)
        >>> table.cost_usd(n, 0 * n).item(), table.cost_usd(n, 0 * n, cached_tokens=n).item()
        (0.03, 0.003)
        >>> table.cost_usd(n, 0 * n, cached_tokens=0 * n).item()
        0.0375
        """
        price = self.input_usd_per_mtok
        dollars = output_tokens * self.output_usd_per_mtok
        if cached_tokens is None:
            dollars = input_tokens * price + dollars
        else:
            read, write = self.cached_input_usd_per_mtok, self.cache_write_usd_per_mtok
            long = input_tokens >= CACHE_LEAST_TOKENS
            cached = np.where(
                cached_tokens >= CACHE_LEAST_TOKENS, np.minimum(cached_tokens, input_tokens), 0.0
            )
            fresh = np.where(long & ~np.isnan(write), write, price)
            dollars = (
                cached * np.where(np.isnan(read), price, read)
                + (input_tokens - cached) * fresh
                + dollars
            )
        cost: FloatArray = dollars / TOKENS_PER_MTOK
        return cost
