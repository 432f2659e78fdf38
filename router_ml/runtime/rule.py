"""A rule from outside the request: what a semantic route or a guard says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from router_ml.errors import ConfigError
from router_ml.runtime.capabilities import capability_mask
from router_ml.runtime.limit import Limit
from router_ml.types.arrays import BoolArray
from router_ml.types.candidates import CandidateTable


@dataclass(frozen=True, slots=True)
class Rule:
    """Which candidates may answer, because of what was found before scoring.

    Parameters
    ----------
    name : says who found what, without a word of the request, such as ``route:law``
    candidates : names; ``None`` = all. Names that the router lacks are left out.
    requires : capabilities, such as ``region:eu``; a candidate that does not declare them is ruled
        out, also where none does
    firm : where it leaves nobody, the request is refused; else the rule is set aside

    Examples
    --------
    >>> Rule(name="route:law", candidates=("large",)).firm
    False
    """

    name: str
    candidates: tuple[str, ...] | None = None
    requires: tuple[str, ...] = ()
    firm: bool = False

    def __post_init__(self) -> None:
        if self.candidates is not None and not self.candidates:
            raise ConfigError(f"{self.name}: candidates must name at least one")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rule:
        """What :meth:`to_dict` gave."""
        given = dict(values)
        for name in ("candidates", "requires"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def limits(self, positions: Mapping[str, int], table: CandidateTable) -> Iterator[Limit]:
        """The rule as masks, each of shape (1, K)."""
        if self.candidates is not None:
            fits = np.zeros((1, len(table)), dtype=bool)
            fits[0, [positions[name] for name in self.candidates if name in positions]] = True
            yield self._limit(fits, f"not for {self.name}")
        for need in self.requires:
            able = capability_mask(table.capabilities, need)
            fits = np.zeros((1, len(table)), dtype=bool) if able is None else able
            yield self._limit(fits, f"lacks {need}, for {self.name}")

    def _limit(self, fits: BoolArray, label: str) -> Limit:
        return Limit(fits, label, soft=not self.firm)


def rule_limits(
    rules: Iterable[Rule], positions: Mapping[str, int], table: CandidateTable
) -> Iterator[Limit]:
    """Firm rules before the others, which may only choose among those that are left."""
    for rule in sorted(rules, key=lambda rule: not rule.firm):
        yield from rule.limits(positions, table)
