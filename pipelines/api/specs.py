"""Estimators as one names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from router_ml.estimators.base import Estimator
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.specs import as_spec

AnyEstimator = str | Estimator | Mapping[str, Any]


def estimator_spec(estimator: AnyEstimator) -> dict[str, Any]:
    """``{"name": ..., **arguments}`` of a name, an estimator or such a mapping.

    Raises
    ------
    ConfigError
        If there is no such estimator, or it does not take an argument.
    """
    if isinstance(estimator, str):
        estimator = {"name": estimator}
    spec = as_spec(estimator)
    make_estimator(spec)
    return spec


def named_specs(
    estimators: Sequence[AnyEstimator] | Mapping[str, AnyEstimator],
) -> dict[str, dict[str, Any]]:
    """Specs by the name that tables show; the second of one kind is ``knn 2``."""
    if isinstance(estimators, Mapping):
        return {name: estimator_spec(one) for name, one in estimators.items()}
    found: dict[str, dict[str, Any]] = {}
    for spec in map(estimator_spec, estimators):
        same = sum(name.partition(" ")[0] == spec["name"] for name in found)
        found[f"{spec['name']} {same + 1}" if same else spec["name"]] = spec
    return found
