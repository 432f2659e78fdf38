"""Estimators by name, so that a config file can build one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from router_ml import estimators
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator


def load_all() -> Mapping[str, type[Estimator]]:
    """Import every module of this package and return the estimators they register."""
    for module in pkgutil.iter_modules(estimators.__path__):
        importlib.import_module(f"{estimators.__name__}.{module.name}")
    return Estimator.registry


def make_estimator(spec: Mapping[str, Any]) -> Estimator:
    """Build an unfitted estimator from ``{"name": ..., **constructor_arguments}``.

    Arguments that are themselves such mappings become estimators.

    Raises
    ------
    ConfigError
        If the name is unknown or an argument is wrong.

    Examples
    --------
    >>> make_estimator({"name": "amounts", "link": "identity"})
    AmountEstimator(link='identity', shared_penalty=10.0, deviation_penalty=100.0)
    """
    arguments = dict(spec)
    name = arguments.pop("name", None)
    known = load_all()
    if name not in known:
        raise ConfigError(f"estimator name must be one of {', '.join(sorted(known))}, got {name!r}")
    built = {
        key: make_estimator(value) if isinstance(value, Mapping) and "name" in value else value
        for key, value in arguments.items()
    }
    try:
        return known[name](**built)
    except TypeError as error:
        raise ConfigError(f"estimator {name!r} does not take {sorted(built)}: {error}") from error
