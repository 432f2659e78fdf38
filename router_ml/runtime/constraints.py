"""What a request may ask for beyond its query, and which candidates that leaves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import numpy as np

from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query
from router_ml.runtime.capabilities import capability_mask
from router_ml.runtime.conditions import NO_CONDITIONS, Conditions, refused
from router_ml.runtime.limit import Limit
from router_ml.runtime.rule import Rule, rule_limits
from router_ml.runtime.spent import NOTHING, Spent
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.decisions import Removal
from router_ml.types.predictions import Predictions

UNHEALTHY: Final = "fails at present"
"""Why a candidate that is to be avoided is ruled out."""
_LISTS: Final = ("candidates", "requires", "permitted")


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
    requires : capabilities, such as ``vision``, ``json_schema`` or ``region:eu``; see
        :mod:`router_ml.runtime.capabilities`
    permitted : names that the caller may be routed to at all; ``None`` = all. Names that the router
        lacks are left out.
    least_tokens : a lower bound of the input tokens
    max_ttft_ms : a measured quantile of the time to first token may not exceed this, > 0; it rules
        out nobody of whom ``conditions`` knows none
    conditions : what holds around the request
    rules : of semantic routes and guards
    """

    candidates: tuple[str, ...] | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    min_quality: float | None = None
    cost_weight: float | None = None
    max_output_tokens: int | None = None
    requires: tuple[str, ...] = ()
    permitted: tuple[str, ...] | None = None
    least_tokens: int = 0
    max_ttft_ms: float | None = None
    conditions: Conditions = NO_CONDITIONS
    rules: tuple[Rule, ...] = ()
    is_plain: bool = field(default=False, init=False, repr=False, compare=False)
    """Whether it asks for nothing but capabilities; set for those of :func:`requiring` alone."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_cost_usd", 0.0, math.inf),
            ("max_latency_ms", 0.0, math.inf),
            ("max_ttft_ms", 0.0, math.inf),
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
        known = [f.name for f in fields(cls) if f.init]
        if not isinstance(values, Mapping) or (unknown := sorted(set(values) - set(known))):
            got = unknown if isinstance(values, Mapping) else type(values).__name__
            raise InvalidRequestError(
                f"constraints must be an object of {', '.join(known)}, got {got}"
            )
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if name in _LISTS:
                if not isinstance(value, list | tuple) or not all(
                    isinstance(n, str) for n in value
                ):
                    raise InvalidRequestError(f"{name} must be a list of names")
                given[name] = tuple(value)
            elif name == "conditions":
                given[name] = Conditions.from_dict(value)
            elif name == "rules":
                given[name] = tuple(Rule.from_dict(rule) for rule in value)
            elif not isinstance(value, int | float) or isinstance(value, bool):
                raise InvalidRequestError(f"{name} must be a number, got {type(value).__name__}")
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """What differs from :data:`NO_CONSTRAINTS`, JSON-able; :meth:`from_dict` rebuilds it."""
        if self is NO_CONSTRAINTS:
            return {}
        changed = {
            name: value
            for name, value, default in zip(_NAMES, _VALUES(self), _DEFAULTS, strict=True)
            if value is not default and value != default
        }
        if "conditions" in changed:
            changed["conditions"] = self.conditions.to_dict()
        if "rules" in changed:
            changed["rules"] = [rule.to_dict() for rule in self.rules]
        return changed

    def of(self, query: Query) -> Constraints:
        """With what the query itself needs."""
        if not query.needs and not query.least_tokens:
            return self
        if self is NO_CONSTRAINTS and not query.least_tokens:
            return _needing(query.needs)
        requires = tuple(sorted(query.needs.union(self.requires)))
        if self.is_plain and not query.least_tokens:
            return requiring(requires)
        return replace(
            self, requires=requires, least_tokens=max(self.least_tokens, query.least_tokens)
        )

    def with_rules(self, rules: tuple[Rule, ...]) -> Constraints:
        """With what semantic routes and guards found."""
        return replace(self, rules=self.rules + rules) if rules else self

    def capped(self, predictions: Predictions) -> Predictions:
        """Predictions within what is known: output at most, input at least so many tokens."""
        if self.max_output_tokens is not None:
            tokens = np.minimum(predictions.output_tokens, self.max_output_tokens)
            predictions = replace(predictions, output_tokens=tokens)
        least = max(self.least_tokens, self.conditions.least_tokens)
        if least:
            tokens = np.maximum(predictions.input_tokens, least)
            predictions = replace(predictions, input_tokens=tokens)
        return predictions

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
            raise refused(refusal)
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
        for limit in self._limits(positions, table, predictions, cost_usd, spent):
            left = allowed & limit.fits
            if not left.any():
                if limit.soft:
                    continue
                return left, limit.refusal(allowed)
            allowed = left
        if self.conditions.avoid:
            allowed = self.conditions.healthy(table, allowed)
        return allowed, ""

    def removed(
        self,
        positions: Mapping[str, int],
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
        spent: Spent = NOTHING,
    ) -> tuple[Removal, ...]:
        """Who may not answer, each with the first limit that says so; as :meth:`eligible`."""
        allowed = np.ones((1, len(table)), dtype=bool)
        found = []
        for limit in self._limits(positions, table, predictions, cost_usd, spent):
            out = allowed & ~limit.fits
            if limit.soft and not (allowed & limit.fits).any():
                continue
            found += [Removal(table.names[k], limit.label) for k in np.flatnonzero(out[0])]
            allowed &= limit.fits
        if self.conditions.avoid:
            well = self.conditions.healthy(table, allowed)
            found += [
                Removal(table.names[k], UNHEALTHY) for k in np.flatnonzero((allowed & ~well)[0])
            ]
            allowed = well
        out = allowed & ~self.floored(allowed, predictions.quality)
        label = f"predicted quality below min_quality={self.min_quality}"
        return (*found, *(Removal(table.names[k], label) for k in np.flatnonzero(out[0])))

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
        positions: Mapping[str, int],
        table: CandidateTable,
        predictions: Predictions,
        cost_usd: FloatArray,
        spent: Spent,
    ) -> Iterator[Limit]:
        """Every limit in its order: what a candidate may and can do, before what it is worth."""
        if self.candidates is not None:
            unknown = [name for name in self.candidates if name not in positions]
            if unknown:
                raise InvalidRequestError(
                    f"unknown candidates {unknown}; the router knows {list(table.names)}"
                )
            yield Limit(_only(positions, self.candidates), "not in the request's candidates")
        if self.permitted is not None:
            yield Limit(_only(positions, self.permitted), "not permitted to the caller")
        for need in self.requires:
            able = capability_mask(table.capabilities, need)
            if able is not None:
                yield Limit(able, f"lacks {need}")
        if spent.asked:
            fresh = np.ones((1, len(table)), dtype=bool)
            fresh[0, list(spent.asked)] = False
            yield Limit(fresh, "was asked before", "every candidate that may answer was asked")
        if table.context_window.any():
            tokens = predictions.input_tokens
            fits = fits_context(table, tokens + (self.max_output_tokens or 0))
            yield Limit(fits, "context window", values=tokens)
        if self.max_cost_usd is not None:
            total = spent.cost_usd + cost_usd
            label = f"max_cost_usd={self.max_cost_usd:g}"
            yield Limit(total <= self.max_cost_usd, label, values=total)
        if self.max_latency_ms is not None:
            total = spent.latency_ms + predictions.latency_ms
            label = f"max_latency_ms={self.max_latency_ms:g}"
            yield Limit(total <= self.max_latency_ms, label, values=total)
        yield from self.conditions.limits(table, cost_usd, self.max_ttft_ms)
        yield from rule_limits(self.rules, positions, table)


@lru_cache(1_024)
def requiring(requires: tuple[str, ...]) -> Constraints:
    """Constraints that ask for capabilities alone; equal ones are one object."""
    made = Constraints(requires=requires)
    object.__setattr__(made, "is_plain", True)
    return made


NO_CONSTRAINTS: Final = requiring(())
# In one call of C: a row of the decision log asks for all of them.
_NAMES: Final = tuple(f.name for f in fields(Constraints) if f.init)
_VALUES: Final = attrgetter(*_NAMES)
_DEFAULTS: Final = _VALUES(NO_CONSTRAINTS)


@lru_cache(1_024)
def _needing(needs: frozenset[str]) -> Constraints:
    return requiring(tuple(sorted(needs)))


def _only(positions: Mapping[str, int], names: Iterable[str]) -> BoolArray:
    fits = np.zeros((1, len(positions)), dtype=bool)
    fits[0, [positions[name] for name in names if name in positions]] = True
    return fits


def fits_context(table: CandidateTable, tokens: FloatArray) -> BoolArray:
    """Whether ``tokens``, shape (n_samples, K), fit each context window; unknown ones fit all."""
    fits: BoolArray = (table.context_window == 0) | (tokens <= table.context_window)
    return fits
