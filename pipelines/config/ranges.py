"""Checks that several configs make."""

from __future__ import annotations

from router_ml.errors import ConfigError


def check_range(config: object, names: tuple[str, ...], low: float, high: float) -> None:
    """ConfigError where a field is not between two ends, both excluded."""
    for name in names:
        if not low < getattr(config, name) < high:
            raise ConfigError(f"{name} must be in ({low:g}, {high:g}), got {getattr(config, name)}")
