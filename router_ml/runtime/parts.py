"""Which queries are scored in one run of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_PADDING: Final = 256
"""Padding tokens that cost as much as another run of the graph; 128 to 512 are about as good."""
_TOKENS: Final = 16_384
"""In one run of the graph: some 16 MB for their vectors."""


def parts_of(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Positions in parts of at most ``size``, and of no more tokens than fit."""
    parts: list[list[int]] = []
    tokens = 0
    for i, length in enumerate(lengths):
        tokens += length
        if not parts or len(parts[-1]) == size or tokens > _TOKENS:
            parts.append([])
            tokens = length
        parts[-1].append(i)
    return parts


def like_parts_of(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Positions in parts of at most ``size``, of like length: padding is paid for as tokens are."""
    parts: list[list[int]] = []
    padding, longest = 0, -1
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        padding += len(parts[-1]) * (lengths[i] - longest) if parts else 0
        if not parts or len(parts[-1]) == size or padding > _PADDING:
            parts.append([])
            padding = 0
        parts[-1].append(i)
        longest = lengths[i]
    return parts
