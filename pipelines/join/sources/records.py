"""One record of a file: what it says, and how it stood there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a log: its ``values``, or what is wrong with it; ``raw`` as it was read."""

    line: int
    raw: bytes | Sequence[str] | None
    values: Mapping[str, Any] | None
    detail: str | None = None

    def beside(self, folders: Mapping[str, Any]) -> Self:
        """The record with what its file's folders say; what the record says itself holds."""
        return self if self.values is None else replace(self, values={**folders, **self.values})

    @property
    def text(self) -> str | None:
        """The record as it stood, for a person to look at."""
        if isinstance(self.raw, bytes):
            return self.raw.decode("utf-8", "replace").rstrip("\r\n")
        return None if self.raw is None else ",".join(self.raw)

    def as_written(self) -> Mapping[str, Any]:
        """The values with every number's digits kept, for names that are numbers.

        The fast parser makes a rounded float of an integer beyond 64 bits.
        """
        if isinstance(self.raw, bytes):
            try:
                values = json.loads(self.raw, parse_float=str)
            except (ValueError, RecursionError):
                return self.values or {}
            if isinstance(values, Mapping):
                return values
        return self.values or {}
