"""An estimator inside another: given as itself or as its spec, stored as its spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_ml.estimators.base import Estimator

Spec = Estimator | Mapping[str, Any]


def as_estimator(inner: Spec) -> Estimator:
    """An unfitted estimator of its own.

    Examples
    --------
    >>> as_estimator({"name": "constant"})
    ConstantEstimator()
    """
    from router_ml.estimators.registry import make_estimator

    return inner.clone() if isinstance(inner, Estimator) else make_estimator(inner)


def as_spec(inner: Spec) -> dict[str, Any]:
    """The JSON-able ``{"name": ..., **arguments}``.

    Examples
    --------
    >>> as_spec(as_estimator({"name": "constant"}))
    {'name': 'constant'}
    """
    if not isinstance(inner, Estimator):
        return dict(inner)
    params = inner.get_params(deep=False)
    plain = {k: as_spec(v) if isinstance(v, Estimator) else v for k, v in params.items()}
    return {"name": inner.name, **plain}
