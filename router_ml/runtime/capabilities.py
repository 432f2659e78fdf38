"""What a candidate can do, by what the catalogue declares of it.

Where some candidate declares a capability, those that do not declare it count as lacking it. Where
none does, the catalogue says nothing about it, and nobody is ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np

from router_ml.types.arrays import BoolArray

_GIVEN_BY: Final[Mapping[str, frozenset[str]]] = {
    "json_object": frozenset({"json_object", "json_schema"}),
}
"""Needs that several capabilities meet; any other is met by its own name."""
_MOST: Final = 1_024
"""Sets of needs that are remembered."""


@lru_cache(2_048)
def capability_mask(capabilities: tuple[frozenset[str], ...], need: str) -> BoolArray | None:
    """Which candidates meet a need, shape (1, K); ``None`` where the catalogue does not say.

    A need with a colon, such as ``region:eu``, is declared where any candidate has a label of its
    kind.

    Examples
    --------
    >>> capabilities = (frozenset({"vision", "region:us"}), frozenset({"region:eu"}))
    >>> capability_mask(capabilities, "vision"), capability_mask(capabilities, "audio")
    (array([[ True, False]]), None)
    >>> capability_mask(capabilities, "region:ch")
    array([[False, False]])
    """
    names = _GIVEN_BY.get(need, frozenset({need}))
    mask = np.array([[bool(names & able) for able in capabilities]])
    kind, colon, _ = need.partition(":")
    if colon:
        declared = any(name.startswith(f"{kind}:") for able in capabilities for name in able)
    else:
        declared = bool(mask.any())
    return mask if declared else None


@lru_cache(2_048)
def undeclared(capabilities: tuple[frozenset[str], ...], needs: tuple[str, ...]) -> tuple[str, ...]:
    """The needs about which the catalogue says nothing."""
    return tuple(need for need in needs if capability_mask(capabilities, need) is None)


class Abilities:
    """What candidates can do of what requests require, each set of needs looked up once.

    Parameters
    ----------
    capabilities : of each candidate

    Examples
    --------
    >>> abilities = Abilities((frozenset({"vision"}), frozenset()))
    >>> abilities.of(("vision", "audio"))
    (array([[ True, False]]), ('audio',))
    """

    def __init__(self, capabilities: tuple[frozenset[str], ...]) -> None:
        self._capabilities = capabilities
        self._known: dict[tuple[str, ...], tuple[BoolArray | None, tuple[str, ...]]] = {}

    def of(self, needs: tuple[str, ...]) -> tuple[BoolArray | None, tuple[str, ...]]:
        """Who meets all needs, shape (1, K) or ``None`` = everyone, and needs nobody declares."""
        known = self._known.get(needs)
        if known is None:
            mask = None
            for need in needs:
                able = capability_mask(self._capabilities, need)
                if able is not None:
                    mask = able if mask is None else mask & able
            known = mask, undeclared(self._capabilities, needs)
            if len(self._known) < _MOST:
                self._known[needs] = known
        return known
