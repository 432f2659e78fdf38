"""The few types that every layer shares: queries, candidates, predictions, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router_ml.errors import ConfigError, SchemaError

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]

TOKENS_PER_MTOK: Final = 1e6


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ragged token ids: row ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    flat : int64 array, shape (n_tokens,)
    offsets : int64 array, shape (n_samples + 1,), non-decreasing from 0 to ``n_tokens``
    """

    flat: IntArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """Tokens per sample, shape (n_samples,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def rows(self) -> IntArray:
        """The sample each token belongs to, shape (n_tokens,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int] | IntArray]) -> Tokens:
        """Pack a list of ids a sample.

        Examples
        --------
        >>> Tokens.from_rows([[5, 6], [], [7]]).lengths
        array([2, 0, 1])
        """
        if len(rows) == 1:
            flat = np.asarray(rows[0], dtype=np.int64)
            return cls(flat, np.array([0, len(flat)]))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=offsets[1:])
        if not len(rows):
            return cls(np.zeros(0, dtype=np.int64), offsets)
        # unsafe, because an empty list is an array of floats
        return cls(np.concatenate(rows, dtype=np.int64, casting="unsafe"), offsets)

    def take(self, index: IntArray) -> Tokens:
        """Rows by integer position, in that order."""
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        return Tokens(self.flat[starts + np.arange(offsets[-1])], offsets)

    def padded(self, pad_id: int) -> IntArray:
        """Dense ids, shape (n_samples, max(1, longest)), filled up with ``pad_id``."""
        lengths = self.lengths
        width = max(1, int(lengths.max(initial=0)))
        out = np.full((len(self), width), pad_id, dtype=np.int64)
        out[np.arange(width) < lengths[:, None]] = self.flat
        return out


@dataclass(frozen=True, slots=True)
class QueryBatch:
    """What an estimator may see of ``n`` queries; made by :class:`router_ml.features.Featurizer`.

    Parameters
    ----------
    text : query text of each sample (the last human ask and one prior user turn)
    tools : names and descriptions of each sample's tools, one string; ``""`` without tools
    tokens : ids of text and tools as the shipped tokenizer gives them
    lexical : float32 array, shape (n_samples, n_lexical); columns as in ``features.lexical.NAMES``
    embedding : float32 array, shape (n_samples, n_dims), from the shipped encoder
    """

    text: tuple[str, ...]
    tools: tuple[str, ...]
    tokens: Tokens
    lexical: FloatArray
    embedding: FloatArray

    def __post_init__(self) -> None:
        n = len(self.text)
        sizes = {
            "tools": len(self.tools),
            "tokens": len(self.tokens),
            "lexical": len(self.lexical),
            "embedding": len(self.embedding),
        }
        wrong = {name: size for name, size in sizes.items() if size != n}
        if wrong:
            raise SchemaError(f"every part of a QueryBatch must have {n} rows, got {wrong}")

    def __len__(self) -> int:
        return len(self.text)

    def take(self, index: IntArray | BoolArray) -> QueryBatch:
        """Samples by position or by mask."""
        rows: IntArray = np.arange(len(self))[index]
        return QueryBatch(
            text=tuple(self.text[i] for i in rows),
            tools=tuple(self.tools[i] for i in rows),
            tokens=self.tokens.take(rows),
            lexical=self.lexical[rows],
            embedding=self.embedding[rows],
        )


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
            context_window=self.context_window[rows],
            max_output_tokens=self.max_output_tokens[rows],
            provider=tuple(self.provider[i] for i in rows),
            capabilities=tuple(self.capabilities[i] for i in rows),
        )

    def cost_usd(self, input_tokens: FloatArray, output_tokens: FloatArray) -> FloatArray:
        """Dollars per request, shape (n_samples, K), from token counts of that shape."""
        cost: FloatArray = (
            input_tokens * self.input_usd_per_mtok + output_tokens * self.output_usd_per_mtok
        ) / TOKENS_PER_MTOK
        return cost


@dataclass(frozen=True, slots=True)
class Predictions:
    """What is expected of every candidate for every query; all arrays of shape (n_samples, K).

    Parameters
    ----------
    quality : in [0, 1]
    input_tokens, output_tokens : mean tokens, >= 0
    latency_ms : mean milliseconds, >= 0
    quality_std : standard error of ``quality``, optional
    """

    quality: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    quality_std: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.quality)

    def take(self, index: IntArray | BoolArray) -> Predictions:
        """Samples by position or by mask."""
        return Predictions(
            self.quality[index],
            self.input_tokens[index],
            self.output_tokens[index],
            self.latency_ms[index],
            None if self.quality_std is None else self.quality_std[index],
        )

    def rows(self) -> Iterator[Predictions]:
        """One sample after the other, each of shape (1, K)."""
        for i in range(len(self)):
            part = slice(i, i + 1)
            yield Predictions(
                self.quality[part],
                self.input_tokens[part],
                self.output_tokens[part],
                self.latency_ms[part],
                None if self.quality_std is None else self.quality_std[part],
            )


@dataclass(slots=True)
class RankedCandidate:
    """One line of a decision's ranking, best first.

    Not frozen: a dozen are made for every request, and freezing trebles the time that takes.
    """

    candidate: str
    quality: float
    cost_usd: float
    latency_ms: float
    utility: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The candidate drawn for one query, and what it was drawn from.

    Parameters
    ----------
    candidate : name of the chosen candidate
    ranking : every eligible candidate, best first
    action_probs : probability of each candidate of the table, shape (K,), sums to one
    propensity : ``action_probs`` of the chosen one
    policy : name of the policy
    reason : one sentence for a person
    """

    candidate: str
    ranking: tuple[RankedCandidate, ...]
    action_probs: tuple[float, ...]
    propensity: float
    policy: str
    reason: str
