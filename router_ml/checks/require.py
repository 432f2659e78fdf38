"""Assertions that say which promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray

_TOLERANCE: Final = 1e-6


def require(holds: bool, promise: str) -> None:
    """Raise AssertionError with the promise unless it holds."""
    if not holds:
        raise AssertionError(promise)


def close(got: FloatArray, expected: FloatArray, promise: str) -> None:
    """Equal within 1e-6."""
    apart = float(np.max(np.abs(got - expected), initial=0.0))
    require(apart <= _TOLERANCE, f"{promise}; they are {apart:.3g} apart")


def raises(kind: type[Exception], call: Callable[[], object], what: str) -> None:
    """Calling it must raise this kind of error."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{what} must be refused with {kind.__name__}")
